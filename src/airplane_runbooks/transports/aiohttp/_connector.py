"""Connector of aiohttp that makes and pools our own connections.

Its pool, its TLS and its search for an address that answers are used as they are. Tunnels through proxies are
not: a lenient parser could mistake which side of a tunnel speaks first.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ClientRequest, ClientTimeout, TCPConnector, ThreadedResolver
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from ...errors import ConnectError, TransportError
from ...http import Fields
from ...options import is_address_of
from .._addresses import not_local
from .._proxies import (
    Proxy,
    check_tunnel,
    tunnel_target,
)
from ..http11 import Head
from ._connection import Exchange, HTTP11Connection

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

# Seconds that an idle connection is kept: balancers tend to drop theirs after a minute.
_KEEPALIVE = 55.0


class ConnectSpec(ClientRequest):
    """Route to an origin, in the form that aiohttp's connector takes. The same for all requests to the origin."""

    def __init__(self, origin: str, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        known: dict[str, Any] = {"loop": asyncio.get_running_loop(), "ssl": context or True}
        super().__init__("GET", URL(origin), **known)
        self._key = super().connection_key
        self.hop: ConnectSpec | None = None
        self.hop_headers = Fields()
        if proxy is not None:
            self.hop, self.hop_headers = ConnectSpec(proxy.url, None, context), proxy.headers
            # Only the key has the proxy: aiohttp would prepare to ask it for a tunnel each time the connection is used.
            self._key = ClientRequest("GET", URL(origin), proxy=self.hop.url, **known).connection_key

    @property
    def connection_key(self) -> ConnectionKey:
        """Key of the connections that can serve the same requests."""
        return self._key


class Connector(TCPConnector):
    """Connector of the running event loop. It does not limit the number of connections: the origin pool does."""

    def __init__(self) -> None:
        super().__init__(
            limit=0,  # aiohttp's own limit is unfair: new requests overtake waiting ones
            use_dns_cache=False,  # its look-ups outlive cancelled requests
            keepalive_timeout=_KEEPALIVE,
            resolver=_Resolver(),
        )
        # aiohttp has no public way to choose the class of connections.
        self._factory: functools.partial[Any] = functools.partial(HTTP11Connection, asyncio.get_running_loop())

    async def _create_connection(self, req: Any, traces: list[Any], timeout: ClientTimeout) -> ResponseHandler:
        """Connect, through a proxy if there is one. A proxy that forwards plain http is connected to like a server."""
        connection: Any = await super()._create_connection(req.hop or req, traces, timeout)
        if req.hop is None or not req.is_ssl():
            return connection  # type: ignore[no-any-return]  # it is what the factory makes
        try:
            await _open_tunnel(connection, req)
            return await _secured(connection, req)
        except BaseException:
            connection.close()
            raise


class _Resolver(ThreadedResolver):
    """System resolver whose answers for loopback names must be loopback addresses."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        """Look a name up."""
        found = await super().resolve(host, port, family)
        addresses = [result for result in found if is_address_of(host, result["host"])]
        if found and not addresses:
            raise not_local(host)
        return addresses


class _Opening(Exchange):
    """Exchange with a proxy that opens a tunnel. The bytes after the head of its answer belong to the server."""

    def _read_body(self, head: Head) -> bytes:  # noqa: ARG002  # it has no body
        return b""


async def _open_tunnel(connection: HTTP11Connection, spec: ConnectSpec) -> None:
    target = tunnel_target(spec.host, spec.port)
    exchange = _Opening(asyncio.get_running_loop(), 0)
    try:
        await connection.carry(exchange, "CONNECT", target, Fields(host=target, **spec.hop_headers), None)
        check_tunnel(exchange.result().status, is_in_step=exchange.is_in_step)
    except TransportError as failure:
        problem = f"the proxy did not open a tunnel: {failure}"
        raise ConnectError(problem, transient=failure.transient) from failure


async def _secured(connection: HTTP11Connection, spec: ConnectSpec) -> HTTP11Connection:
    """Start TLS within a connection."""
    loop = asyncio.get_running_loop()
    inner = HTTP11Connection(loop)
    context, name = cast(ssl.SSLContext, spec.ssl), spec.host.rstrip(".")
    transport = connection.transport and await loop.start_tls(
        connection.transport, inner, context, server_hostname=name
    )
    if transport is None:
        raise ConnectionResetError("the proxy closed the tunnel")
    inner.connection_made(transport)
    return inner
