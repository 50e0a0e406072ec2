"""Attributes of the client's spans and metrics, by the stable HTTP conventions and `airplane.*` for our own.

Most depend on few things, so they are built once and cached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit

from .._responses.redaction import Redactor
from ..options import BaseURL, socket_path_of
from .values import Attributes, Value

_CACHED = 256  # results of attempts whose attributes are kept, and URLs

# Result of an attempt: status, HTTP version, error type.
Result = tuple[int | None, str | None, str | None]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SENSITIVE_QUERY = frozenset(
    {"AWSAccessKeyId", "Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature"}
    | {"X-Goog-Signature", "sig"}
)


class ServerAttributes:
    """Attributes of servers, by origin: mostly the client's own, unless a middleware sends a request elsewhere."""

    def __init__(self, base: BaseURL) -> None:
        self._origin = base.origin
        self._own = _of_socket(base.host) if base.port is None else _of_host(base.host, base.port)

    def of(self, origin: str) -> Attributes:
        """Return the attributes of a server; none if the origin is malformed, which the transport will report."""
        return self._own if origin == self._origin else server_attributes(origin)


def server_attributes(origin: str) -> Attributes:
    """Return the attributes of the server of an origin; none if it is malformed."""
    try:
        if (path := socket_path_of(origin)) is not None:
            return _of_socket(path)
        parts = urlsplit(origin)
        return _of_host(parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme])
    except (KeyError, ValueError):
        return {}


def _of_host(host: str, port: int) -> Attributes:
    return {"server.address": host, "server.port": port}


def _of_socket(path: str) -> Attributes:
    """Return the attributes of a server on a Unix-domain socket, which has no port."""
    return {"server.address": path, "network.transport": "unix"}


class CallAttributes(dict[str, Attributes]):
    """The attributes of each operation, by its name."""

    def __init__(self, server: Attributes) -> None:
        super().__init__()
        self._server = server

    def __missing__(self, operation: str) -> Attributes:
        attributes = self[operation] = {"airplane.operation.name": operation, **self._server}
        return attributes


class AttemptAttributes(dict[tuple[str, str, str | None, Result], tuple[Attributes, Attributes]]):
    """The attributes of an attempt's metric, and those of them that describe its result.

    The key is the attempt's method, origin, URL template (None if it is not wanted) and result.
    """

    def __init__(self, server: Callable[[str], Attributes]) -> None:
        super().__init__()
        self._server = server

    def __missing__(self, key: tuple[str, str, str | None, Result]) -> tuple[Attributes, Attributes]:
        method, origin, template, result = key
        names = ("http.response.status_code", "network.protocol.version", "error.type")
        of_result = {name: value for name, value in zip(names, result, strict=True) if value is not None}
        metric: dict[str, Value] = {"http.request.method": method, **self._server(origin), **of_result}
        if template is not None:
            metric["url.template"] = template
        if len(self) >= _CACHED:
            self.clear()
        self[key] = metric, of_result
        return metric, of_result


@lru_cache(maxsize=_CACHED)
def shown_url(url: str, redactor: Redactor) -> str:
    """Return a URL as it may be shown. Most requests go to few URLs."""
    return redactor.text(redact_url(url))


def without_credentials(redactor: Redactor, found: Attributes) -> dict[str, Value]:
    """Return attributes without the credentials that were sent, should a server or a URL repeat them."""
    redact = redactor.text
    return {
        name: redact(value)
        if isinstance(value, str)
        else list(map(redact, value))
        if isinstance(value, list)
        else value
        for name, value in found.items()
    }


def redact_url(url: str) -> str:
    """Return a URL without user info, and without the values of query parameters known to hold credentials."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if mark and "@" in host:
        url = f"{scheme}://REDACTED:REDACTED@{host.rpartition('@')[2]}{slash}{path}"
    base, mark, query = url.partition("?")
    if not mark or _SENSITIVE_QUERY.isdisjoint(pair.partition("=")[0] for pair in query.split("&")):
        return url
    pairs = parse_qsl(query, keep_blank_values=True)
    return f"{base}?{urlencode([(key, 'REDACTED' if key in _SENSITIVE_QUERY else value) for key, value in pairs])}"
