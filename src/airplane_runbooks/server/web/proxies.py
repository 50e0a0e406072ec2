"""Public address of the server and addresses of its clients, behind trusted proxies too."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from .scope import BASE_PATH, PUBLIC_ORIGIN

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)
_PAIR = re.compile(r"\s*([A-Za-z]+)\s*=\s*(\"[^\"]*\"|[^\s;,\"]*)\s*(?:;|$)", re.ASCII)
_X_FORWARDED = {"for": "x-forwarded-for", "proto": "x-forwarded-proto", "host": "x-forwarded-host"}


class PublicUrl(NamedTuple):
    """Public address of the server, such as `https`, `runbooks.example.com`, `/tools`."""

    scheme: str
    netloc: str
    prefix: str

    @property
    def host(self) -> str:
        """Name or address, without the port."""
        return re.sub(r":[0-9]*$", "", self.netloc)

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return f"{self.scheme}://{self.netloc}{self.prefix}"


def parse_public_url(url: str) -> PublicUrl:
    """Parse the setting `public_url`. Raises ValueError that names it."""
    message = "public_url must be the URL of the server for browsers, such as https://runbooks.example.com or .../tools"
    try:
        parts = urlsplit(url)
        scheme, netloc, prefix = parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/")
        usable = scheme in _PORTS and parts.hostname and (parts.port or 1) and not (parts.query or parts.fragment)
    except ValueError:
        raise ValueError(message) from None
    if not usable or "@" in netloc or not netloc.isascii() or not (_PREFIX.fullmatch(prefix) or not prefix):
        raise ValueError(message)
    return PublicUrl(scheme, netloc, prefix)


def parse_proxies(proxies: Sequence[str]) -> tuple[Network, ...]:
    """Parse the setting `trusted_proxies`. Raises TypeError for a single string, ValueError that names the setting."""
    if isinstance(proxies, str):
        raise TypeError("trusted_proxies must be a sequence of addresses and networks")
    try:
        return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)
    except ValueError as problem:
        raise ValueError(f"trusted_proxies: {problem}") from None


class ProxyHeaders:
    """Rewrites the scope of a request as if there were no proxies: scheme, host, path prefix, address of the client.

    Headers are believed only if a trusted proxy sent the request, since any client can send them. A public URL takes
    precedence over headers. A proxy may pass the path on with the prefix or without it: `roots` are the first segments
    of the application's own paths, which tell the two apart if the prefix is one of them.
    """

    def __init__(self, public: PublicUrl | None, trusted: Sequence[Network]) -> None:
        self.public = public
        self._trusted = trusted

    @property
    def hosts(self) -> Sequence[str]:
        """Host name of the public URL, if there is one."""
        return [] if self.public is None else [self.public.host]

    @property
    def knows_client_addresses(self) -> bool:
        """True if addresses of clients can be told from those of proxies."""
        return bool(self._trusted)

    def apply(self, scope: Scope, roots: Collection[str] = ()) -> Scope:
        """Return the scope as it would be without proxies."""
        client = scope.get("client")
        forwarded = self._forwarded(Headers(scope=scope)) if client and self._trusts(client[0]) else {}
        scope = dict(scope)
        if address := forwarded.get("for"):
            scope["client"] = (address, 0)
        if forwarded.get("proto", "").lower() in _PORTS:
            scope["scheme"] = forwarded["proto"].lower()
        if host := forwarded.get("host"):
            scope["headers"] = list(scope["headers"])
            MutableHeaders(scope=scope)["host"] = host
        prefix = forwarded.get("prefix", "").rstrip("/")
        if self.public is not None:
            scope["scheme"], prefix = self.public.scheme, self.public.prefix
        if _PREFIX.fullmatch(prefix):
            _move(scope, prefix, roots)
        scope[PUBLIC_ORIGIN] = self._public_origin(scope)
        scope[BASE_PATH] = scope.get("root_path", "").rstrip("/")
        return scope

    def _public_origin(self, scope: Scope) -> str:
        host = Headers(scope=scope).get("host", "") if self.public is None else self.public.netloc
        return origin(f"{scope.get('scheme', 'http')}://{host}")

    def _trusts(self, address: str) -> bool:
        known = _address(address)
        return known is not None and any(known in network for network in self._trusted)

    def _forwarded(self, headers: Headers) -> Mapping[str, str]:
        """Return the values that the outermost trusted proxy set: each proxy appends its own to the right."""
        hops = _listed(headers) or _standard(headers)
        found: dict[str, str] = {}
        depth = 0
        for address in reversed(hops.get("for", [])):
            known = _address(address)
            if known is None:
                break  # an untrusted client may have invented it
            found["for"] = str(known)
            if not self._trusts(found["for"]):
                break
            depth += 1
        for name in ("proto", "host"):
            if values := hops.get(name):
                found[name] = values[-1 - min(depth, len(values) - 1)]
        found["prefix"] = headers.get("x-forwarded-prefix", "")
        return found


def origin(url: str) -> str:
    """Return the origin of a URL, with its port; empty if the URL has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""


def _listed(headers: Headers) -> dict[str, list[str]]:
    """Read the X-Forwarded headers, which most proxies send."""
    return {
        key: [item.strip() for value in headers.getlist(name) for item in value.split(",")]
        for key, name in _X_FORWARDED.items()
        if name in headers
    }


def _standard(headers: Headers) -> dict[str, list[str]]:
    """Read the Forwarded header (RFC 7239)."""
    hops: dict[str, list[str]] = {}
    for value in headers.getlist("forwarded"):
        for element in value.split(","):
            for name, text in _PAIR.findall(element):
                hops.setdefault(name.lower(), []).append(text.strip('"'))
    return hops


def _address(text: str) -> Address | None:
    """Parse an address, with or without a port; None if it is not one."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _move(scope: Scope, prefix: str, roots: Collection[str]) -> None:
    """Mount the application below a prefix, whether or not the path has it."""
    path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    if (path == prefix or path.startswith(prefix + "/")) and not _was_cut_off(path, prefix, roots):
        path = path[len(prefix) :]
    scope["root_path"], scope["path"] = prefix, prefix + path


def _was_cut_off(path: str, prefix: str, roots: Collection[str]) -> bool:
    """Tell whether a path that begins with the prefix is the application's own, as `/runbooks/refund` may be."""
    if _first_segment(path) not in roots:
        return False
    return path == prefix == f"/{_first_segment(path)}" or _first_segment(path[len(prefix) :]) not in roots


def _first_segment(path: str) -> str:
    return path.lstrip("/").partition("/")[0]
