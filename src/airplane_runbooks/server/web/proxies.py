"""The server's public address and the visitors' own, also behind proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import Scope

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PUBLIC_ORIGIN = "airplane_runbooks.here"  # in a scope: the origin that browsers know this server by
BASE_PATH = "airplane_runbooks.base"  # the path that the application stands below, which mounts within it hide

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
        """The name without a port."""
        return re.sub(r":[0-9]*$", "", self.netloc)


def parse_public_url(url: str) -> PublicUrl:
    """Take a URL apart. Raises ValueError that names the setting."""
    message = "public_url is where browsers find the server, such as https://runbooks.example.com or .../tools"
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
    """Read addresses and networks. Raises TypeError for a single text, and ValueError that names the setting."""
    if isinstance(proxies, str):
        raise TypeError("trusted_proxies is a sequence of addresses and networks")
    try:
        return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)
    except ValueError as problem:
        raise ValueError(f"trusted_proxies: {problem}") from None


class ProxyHeaders:
    """Puts what visitors see into the scope of a request: scheme, host, path prefix, their own address.

    All of it is taken from headers only where a trusted proxy has sent the request, for anybody can send headers. A
    public URL says more than headers do. The prefix may arrive with the path, or be cut off by the proxy.
    """

    def __init__(self, public: PublicUrl | None, trusted: Sequence[Network]) -> None:
        self.public = public
        self._trusted = trusted

    @property
    def hosts(self) -> Sequence[str]:
        """The name that the public URL has."""
        return [] if self.public is None else [self.public.host]

    @property
    def knows_client_addresses(self) -> bool:
        """Whether the addresses of visitors can be told from those of proxies."""
        return bool(self._trusted)

    def seen(self, scope: Scope) -> Scope:
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
            _move(scope, prefix)
        scope[PUBLIC_ORIGIN] = self._here(scope)
        scope[BASE_PATH] = scope.get("root_path", "").rstrip("/")
        return scope

    def _here(self, scope: Scope) -> str:
        host = Headers(scope=scope).get("host", "") if self.public is None else self.public.netloc
        return origin(f"{scope.get('scheme', 'http')}://{host}")

    def _trusts(self, address: str) -> bool:
        known = _address(address)
        return known is not None and any(known in network for network in self._trusted)

    def _forwarded(self, headers: Headers) -> Mapping[str, str]:
        """Return what the outermost trusted proxy says: each one adds to the right of what it was given."""
        hops = _listed(headers) or _standard(headers)
        said: dict[str, str] = {}
        depth = 0
        for address in reversed(hops.get("for", [])):
            known = _address(address)
            if known is None:
                break  # what an untrusted visitor may have made up
            said["for"] = str(known)
            if not self._trusts(said["for"]):
                break
            depth += 1
        for name in ("proto", "host"):
            if values := hops.get(name):
                said[name] = values[-1 - min(depth, len(values) - 1)]
        said["prefix"] = headers.get("x-forwarded-prefix", "")
        return said


def path_below_base(request: Request) -> str:
    """Return the path of a request below the application's root."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope[BASE_PATH])


def origin(url: str) -> str:
    """Return the origin of a URL, with its port; empty if there is none in it."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""


def _listed(headers: Headers) -> dict[str, list[str]]:
    """Read the headers that most proxies send."""
    return {
        key: [item.strip() for value in headers.getlist(name) for item in value.split(",")]
        for key, name in _X_FORWARDED.items()
        if name in headers
    }


def _standard(headers: Headers) -> dict[str, list[str]]:
    """Read RFC 7239's header."""
    hops: dict[str, list[str]] = {}
    for value in headers.getlist("forwarded"):
        for element in value.split(","):
            for name, text in _PAIR.findall(element):
                hops.setdefault(name.lower(), []).append(text.strip('"'))
    return hops


def _address(text: str) -> Address | None:
    """Read an address, with or without a port; None for what is none."""
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


def _move(scope: Scope, prefix: str) -> None:
    """Let the application stand below a prefix, whether or not the path has arrived with it."""
    path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    if path == prefix or path.startswith(prefix + "/"):
        path = path[len(prefix) :]
    scope["root_path"], scope["path"] = prefix, prefix + (path or "/")
