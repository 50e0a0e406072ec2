"""aiohttp's connector, as the maker and keeper of our own connections.

Its pool, its TLS and its way to find an address that answers are used as they are. Tunnels through proxies are not: who
speaks first in one, and what else is said to the proxy, matters too much to be left to a lenient parser.
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
from .._http11 import Head
from .._proxies import (
    Proxy,
    check_tunnel,
    not_local,
    tunnel_target,
)
from ._connection import Exchange, Wire

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

# Seconds that an idle connection is kept: balancers tend to drop theirs after a minute.
_KEEPALIVE = 55.0


class Way(ClientRequest):
    """Where requests go and how they get there: all that a connector wants to know, the same for each of them."""

    def __init__(self, origin: str, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        known: dict[str, Any] = {"loop": asyncio.get_running_loop(), "ssl": context or True}
        super().__init__("GET", URL(origin), **known)
        self._key = super().connection_key
        self.hop: Way | None = None
        self.hop_headers = Fields()
        if proxy is not None:
            self.hop, self.hop_headers = Way(proxy.url, None, context), proxy.headers
            # Only the key has the proxy: aiohttp would prepare to ask it for a tunnel each time the connection is used.
            self._key = ClientRequest("GET", URL(origin), proxy=self.hop.url, **known).connection_key

    @property
    def connection_key(self) -> ConnectionKey:
        """What connections have in common that may stand in for one another."""
        return self._key


class Connector(TCPConnector):
    """A connector of wires, on the running event loop. It does not count them: who may have one, others decide."""

    def __init__(self) -> None:
        super().__init__(
            limit=0,  # waiting for it is not fair: newcomers pass those who wait
            use_dns_cache=False,  # its look-ups outlive those who are cancelled
            keepalive_timeout=_KEEPALIVE,
            resolver=_Resolver(),
        )
        # There is no public way to say what connections are made of.
        self._factory: functools.partial[Any] = functools.partial(Wire, asyncio.get_running_loop())

    async def _create_connection(self, req: Any, traces: list[Any], timeout: ClientTimeout) -> ResponseHandler:
        """Connect, through a proxy if there is one; a proxy that forwards plain http is all there is to connect to."""
        wire: Any = await super()._create_connection(req.hop or req, traces, timeout)
        if req.hop is None or not req.is_ssl():
            return wire  # type: ignore[no-any-return]  # it is what the factory makes
        try:
            await _open_tunnel(wire, req)
            return await _secured(wire, req)
        except BaseException:
            wire.close()
            raise


class _Resolver(ThreadedResolver):
    """The system's resolver, which is not believed that this machine is another one."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        """Look a name up."""
        found = await super().resolve(host, port, family)
        addresses = [result for result in found if is_address_of(host, result["host"])]
        if found and not addresses:
            raise not_local(host)
        return addresses


class _Opening(Exchange):
    """The exchange with a proxy that opens a tunnel: what comes behind the head of its answer is not for us."""

    def _read_body(self, head: Head) -> bytes:  # noqa: ARG002  # whatever it says
        return b""


async def _open_tunnel(wire: Wire, way: Way) -> None:
    target = tunnel_target(way.host, way.port)
    exchange = _Opening(asyncio.get_running_loop(), 0)
    try:
        await wire.carry(exchange, "CONNECT", target, Fields(host=target, **way.hop_headers), None)
        check_tunnel(exchange.result().status, is_in_step=exchange.is_in_step)
    except TransportError as failure:
        problem = f"the proxy did not open a tunnel: {failure}"
        raise ConnectError(problem, transient=failure.transient) from failure


async def _secured(wire: Wire, way: Way) -> Wire:
    """Start TLS within a connection."""
    loop = asyncio.get_running_loop()
    inner = Wire(loop)
    context, name = cast(ssl.SSLContext, way.ssl), way.host.rstrip(".")
    transport = wire.transport and await loop.start_tls(wire.transport, inner, context, server_hostname=name)
    if transport is None:
        raise ConnectionResetError("the proxy closed the tunnel")
    inner.connection_made(transport)
    return inner
