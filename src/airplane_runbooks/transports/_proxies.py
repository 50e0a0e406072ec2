"""Which proxy, if any, stands between us and an origin, and what it is asked to do. Read once, for each transport."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # no stub

from msgspec import UNSET, UnsetType

from ..errors import ConfigurationError, ConnectError, InvalidResponse
from ..options import is_loopback


class Proxy(NamedTuple):
    """A proxy's URL without user info, and the headers that are for the proxy alone."""

    url: str
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Proxy({self.url})"


class Proxies:
    """A transport's proxies by scheme of the origin (`all` stands in for both), and the hosts to reach directly."""

    def __init__(self, proxies: Mapping[str, str]) -> None:
        self._direct = {"no": proxies["no"]} if "no" in proxies else {}
        self._by_scheme = {scheme: parse_proxy(url) for scheme, url in proxies.items() if scheme in _SCHEMES and url}

    @classmethod
    def of(cls, url: str | UnsetType | None) -> Proxies:
        """Take what a transport was given as its proxy."""
        return cls.from_env() if url is UNSET else cls.always(url)

    @classmethod
    def from_env(cls) -> Proxies:
        """Take the proxies that the environment names."""
        return cls(getproxies_environment())

    @classmethod
    def always(cls, url: str | None) -> Proxies:
        """Take one proxy, or none, for everything."""
        return cls({"all": url} if url is not None else {})

    def for_origin(self, origin: str) -> Proxy | None:
        """Return the proxy for an origin. Never one for this machine: a key for a local server stays on it."""
        parts = urlsplit(origin)
        proxy = self._by_scheme.get(parts.scheme) or self._by_scheme.get("all")
        if proxy is None or is_loopback(parts.hostname or ""):
            return None
        return None if self._direct and proxy_bypass_environment(parts.netloc, self._direct) else proxy


def needs_tls(origin: str, proxy: Proxy | None) -> bool:
    """Whether TLS is spoken on the way to an origin."""
    return origin.startswith("https:") or (proxy is not None and proxy.url.startswith("https:"))


_SCHEMES = frozenset({"http", "https", "all"})


def parse_proxy(url: str) -> Proxy:
    """Split a proxy's URL from its user info. Raises ConfigurationError, without showing it, if it is of no use."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError("a proxy must be an http or https URL")
    shown = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    if parts.username is None:
        return Proxy(address, {})
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(address, {"proxy-authorization": "Basic " + base64.b64encode(credentials.encode()).decode()})


def tunnel_target(host: str, port: int | None) -> str:
    """Return what a proxy is asked to connect to (CONNECT, RFC 9110, section 9.3.6)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_tunnel(status: int, *, is_in_step: bool) -> None:
    """Raise TransportError unless a proxy's answer has opened a tunnel, in which the server has the first word."""
    if not 200 <= status < 300:
        raise ConnectError(f"it refused with status {status}", transient=status >= 500)
    if not is_in_step:
        raise InvalidResponse("it sent something before the server could")
