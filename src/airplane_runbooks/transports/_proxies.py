"""Proxies between a transport and its origins. The settings are read once for each transport."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from msgspec import UNSET, UnsetType

from ..errors import ConfigurationError, ConnectError, InvalidResponse
from ..http import Fields
from ..options import is_on_this_machine


class Proxy(NamedTuple):
    """A proxy's URL without user info, and the headers that are for the proxy alone."""

    url: str
    headers: Fields

    def __repr__(self) -> str:
        return f"Proxy({self.url})"


def goal_of(origin: str, proxy: Proxy | None) -> str:
    """Name a server, and the proxy on the way to it, for errors."""
    server = origin.partition("://")[2]
    return server if proxy is None else f"{server} through the proxy {proxy.url}"


def is_final(failure: Exception) -> bool:
    """Tell whether it would be the same next time that there was no connection.

    So it is with a name that cannot be one, a certificate that is not trusted, and a server that speaks no TLS.
    """
    return isinstance(failure, ValueError) or getattr(failure, "reason", None) == "WRONG_VERSION_NUMBER"


class GivenProxy:
    """A proxy as it was given, and what it was given by. Its repr shows no password, for a traceback may show it."""

    __slots__ = ("name", "url")

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    def __repr__(self) -> str:
        return f"<the proxy of {self.name}>"


class Proxies:
    """A transport's proxies by scheme of the origin (`all` stands in for both), and the hosts to reach directly."""

    def __init__(self, by_scheme: Mapping[str, GivenProxy], direct: str | None = None) -> None:
        self._by_scheme = by_scheme
        self._direct = {} if direct is None else {"no": direct}

    @classmethod
    def of(cls, url: str | UnsetType | None) -> Proxies:
        """Take what a transport was given as its proxy. Raises ConfigurationError for one that is of no use."""
        if url is UNSET:
            return cls.from_env()
        if url is None:
            return cls({})
        given = GivenProxy("proxy", url)
        del url
        parse_proxy(given)
        return cls({"all": given})

    @classmethod
    def from_env(cls) -> Proxies:
        """Take the proxies that the environment names. Which of them are of use, only an origin can tell."""
        if not any(name.lower().endswith("_proxy") for name in os.environ):
            return cls({})
        # Late, here and below: few processes have a proxy, and it loads what nothing else needs.
        from urllib.request import getproxies_environment

        found = {scheme: GivenProxy(_variable(scheme), url) for scheme, url in getproxies_environment().items()}
        direct = found.pop("no", None)
        return cls(found, None if direct is None else direct.url)

    def for_origin(self, origin: str) -> Proxy | None:
        """Return the proxy for an origin. Never one for this machine: a key for a local server stays on it.

        Raises ConfigurationError, naming what the proxy was given by, if it is of no use.
        """
        parts = urlsplit(origin)
        given = self._by_scheme.get(parts.scheme) or self._by_scheme.get("all")
        if given is None or is_on_this_machine(origin):
            return None
        if self._direct and _is_direct(parts.netloc, self._direct):
            return None
        return parse_proxy(given)


def _is_direct(host: str, named: Mapping[str, str]) -> bool:
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # no stub

    return bool(proxy_bypass_environment(host, named))


def _variable(scheme: str) -> str:
    """Return the environment variable that names the proxy of a scheme; the one in lower case goes before others."""
    lower = f"{scheme}_proxy"
    others = (name for name in os.environ if name.lower() == lower)
    return lower if os.environ.get(lower) else next(others, lower)


def needs_tls(origin: str, proxy: Proxy | None) -> bool:
    """Return True if the way to an origin needs TLS."""
    return origin.startswith("https:") or (proxy is not None and proxy.url.startswith("https:"))


_HOST = re.compile(r"[\w.:%-]+", re.ASCII)


def parse_proxy(given: GivenProxy) -> Proxy:
    """Split a proxy's URL from its user info. Raises ConfigurationError, without showing it, if it is of no use."""
    try:
        proxy = _parsed(given.url)
    except ValueError:
        proxy = None  # and raise no sooner than out here: the problem's traceback may show the URL
    if proxy is None:
        raise ConfigurationError(f"{given.name}: a proxy must be an http or https URL")
    return proxy


def _parsed(url: str) -> Proxy | None:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    host, port = parts.hostname or "", parts.port
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    if parts.username is None:
        return Proxy(address, Fields())
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(address, Fields({"proxy-authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}))


def tunnel_target(host: str, port: int | None) -> str:
    """Return what a proxy is asked to connect to (CONNECT, RFC 9110, section 9.3.6)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_tunnel(status: int, *, is_in_step: bool) -> None:
    """Raise TransportError unless a proxy's answer has opened a tunnel, in which the server has the first word."""
    if not 200 <= status < 300:
        raise ConnectError(f"it refused with status {status}", transient=status >= 500)
    if not is_in_step:
        raise InvalidResponse("it sent something before the server could")
