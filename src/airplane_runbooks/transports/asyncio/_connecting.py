"""Ways from an event loop to an origin: the address that answers first, a proxy's tunnel, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from ...errors import ConnectError, TransportError
from ...http import Fields, Headers, Request
from .._addresses import ATTEMPT_DELAY, AddressInfo, race_order
from .._proxies import Proxy, check_tunnel, goal_of, is_final, tunnel_target
from .._sockets import tune
from ._connection import Connection
from ._exchange import Opening


class _Peer(NamedTuple):
    """Host and port, and the TLS settings if it is spoken to under TLS."""

    host: str
    port: int
    context: ssl.SSLContext | None

    @property
    def name(self) -> str | None:
        """Name that its certificate must have."""
        return None if self.context is None else self.host.rstrip(".").partition("%")[0]


class Route:
    """The way to an origin. `proxy` forwards plain http, and opens tunnels for https.

    Attributes:
        host: Value of the header `Host`.
        forwarder: The proxy, if it is one that forwards: it wants the whole URL, and its own headers.
    """

    def __init__(self, origin: str, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        self._goal = goal_of(origin, proxy)
        scheme, _, self.host = origin.partition("://")
        server = _peer(origin, context)
        self.forwarder = proxy if scheme == "http" else None
        self._first = server if proxy is None else _peer(proxy.url, context)
        self._within = server if proxy is not None and scheme == "https" else None
        self._headers = Fields() if proxy is None else proxy.headers

    async def connect(self) -> Connection:
        """Connect. An error here means that no byte of a request was sent."""
        try:
            return await self._connect()
        except (OSError, ValueError) as failure:
            problem = f"no connection to {self._goal}: {str(failure) or type(failure).__name__}"
            raise ConnectError(problem, transient=not is_final(failure)) from failure

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        sock = await _open_socket(loop, self._first.host, self._first.port)
        connection = Connection(loop, sock)
        await loop.create_connection(
            lambda: connection, sock=sock, ssl=self._first.context, server_hostname=self._first.name
        )
        if self._within is not None:
            try:
                await _open_tunnel(loop, connection, self._within, self._headers)
                await _start_tls(loop, connection, self._within)
            except BaseException:
                connection.abort()
                raise
        return connection


def _peer(url: str, context: ssl.SSLContext | None) -> _Peer:
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    if not host or ("%" in host and ":" not in host):
        raise ValueError("a URL must name a host")
    return _Peer(host, parts.port or (443 if is_tls else 80), context if is_tls else None)


async def _open_socket(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    found = _literal(host, port) or await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first, *others = race_order(host, found)
    return await _race(loop, [first, *others]) if others else await _connected(loop, first)


def _literal(host: str, port: int) -> list[AddressInfo]:
    """Return the address that a host is written as, if it is one: no thread has to look it up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return []
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


async def _race(loop: asyncio.AbstractEventLoop, addresses: list[AddressInfo]) -> socket.socket:
    """Try one address after another, each a moment after the one before, and take the first that answers."""
    running: set[asyncio.Task[socket.socket | OSError]] = set()
    outcome: socket.socket | OSError | None = None
    try:
        while not isinstance(outcome, socket.socket):
            if addresses:
                running.add(loop.create_task(_outcome(loop, addresses.pop(0))))
            elif outcome is not None and not running:
                raise outcome
            delay = ATTEMPT_DELAY if addresses else None
            done, running = await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                outcome = _better(outcome, ended.result())
        return outcome
    finally:
        del outcome  # the traceback of an error leads back here
        for attempt in running:
            attempt.add_done_callback(_close)
            attempt.cancel()
        if running:
            await asyncio.wait(running)


def _better(old: socket.socket | OSError | None, new: socket.socket | OSError) -> socket.socket | OSError:
    """Return the more useful of two outcomes, and close what is of no use."""
    if old is None or not isinstance(new, socket.socket):
        return new if old is None else old
    if isinstance(old, socket.socket):
        new.close()
        return old
    return new


def _close(attempt: asyncio.Task[socket.socket | OSError]) -> None:
    if not attempt.cancelled() and isinstance(sock := attempt.result(), socket.socket):
        sock.close()


async def _outcome(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket | OSError:
    try:
        return await _connected(loop, info)
    except OSError as failure:
        return failure


async def _connected(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(0)
        await loop.sock_connect(sock, address)
        tune(sock)
    except BaseException:
        sock.close()
        raise
    return sock


async def _open_tunnel(loop: asyncio.AbstractEventLoop, connection: Connection, server: _Peer, headers: Fields) -> None:
    target = tunnel_target(server.host, server.port)
    request = Request(method="CONNECT", origin="", target=target, headers=Headers(headers), body=None)
    exchange = Opening(loop, 0)
    try:
        await connection.carry(exchange, request, target)
        connection.end(exchange)
        check_tunnel(exchange.result().status, is_in_step=exchange.is_in_step)
    except TransportError as failure:
        problem = f"the proxy did not open a tunnel: {failure}"
        raise ConnectError(problem, transient=failure.transient) from failure


async def _start_tls(loop: asyncio.AbstractEventLoop, connection: Connection, server: _Peer) -> None:
    """Start TLS within a connection."""
    context, outer = cast(ssl.SSLContext, server.context), connection.transport
    inner = outer and await loop.start_tls(outer, connection, context, server_hostname=server.name)
    if inner is None:
        raise ConnectionResetError("the proxy closed the tunnel")
    connection.restart(inner)
