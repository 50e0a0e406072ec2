"""The default transport of the async client: asyncio's connections, with our own reading and writing of HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from time import monotonic

import msgspec
from msgspec import UNSET, UnsetType

from ...errors import AttemptTimeout, ClientClosed, ConnectError, TransportError
from ...http import IDEMPOTENCY_HEADER, Headers, Request, Response
from ...options import socket_path_of
from ...pools import PoolFigures
from .._ages import DEFAULT_MAX_CONNECTION_AGE, DEFAULT_MAX_CONNECTION_IDLE, ConnectionAges
from .._proxies import goal_of, needs_tls
from .._settings import checked_settings
from ..base import DEFAULT_MAX_RESPONSE_BYTES, call_in_children
from ._connecting import Route
from ._connection import Connection
from ._exchange import Exchange
from ._pool import OriginPool, Places
from ._unix import UnixRoute

DEFAULT_POOL_SIZE = 256


class AsyncioTransport:
    """Carry requests over connections of the event loop that awaits them, asyncio's own or uvloop's.

    Each event loop gets connections of its own, which are closed when `asyncio.run` shuts it down, if not before. A
    forked child gets its own, too. Names are resolved on threads of the loop: no request waits for that longer than its
    timeout, but `asyncio.run` does, in the end.

    Args:
        pool_size: Connections kept per origin and event loop, and requests in flight at most; further ones wait for
            their turn, first come, first served.
        max_response_bytes: Largest response body, before and after decompression.
        ssl_context: TLS settings for servers and https proxies; by default the system's trust store.
        proxy: URL of an http or https proxy, user info included. By default the environment's HTTPS_PROXY, HTTP_PROXY,
            ALL_PROXY and NO_PROXY decide, of which only those count that are for the origin; None means no proxy. This
            machine itself is always reached directly.
        max_connection_idle: Seconds after which an idle connection is closed instead of used; None keeps it.
        max_connection_age: Seconds after which a connection is closed between two requests, so that changes of the DNS
            and of deploys are followed; None keeps it.
    """

    def __init__(
        self,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | UnsetType | None = UNSET,
        max_connection_idle: float | None = DEFAULT_MAX_CONNECTION_IDLE,
        max_connection_age: float | None = DEFAULT_MAX_CONNECTION_AGE,
    ) -> None:
        self._closed = False
        self._pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        try:
            self._proxies, self._ages = checked_settings(
                pool_size=pool_size,
                max_response_bytes=max_response_bytes,
                proxy=proxy,
                max_connection_idle=max_connection_idle,
                max_connection_age=max_connection_age,
            )
        finally:
            del proxy  # a traceback that shows local variables must not show its password
        self._ssl_context = ssl_context
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        call_in_children(self, AsyncioTransport._reset)

    @property
    def pool_size(self) -> int:
        """Requests to one origin that are in flight at most, on one event loop."""
        return self._pool_size

    def _reset(self) -> None:
        # Kept, for what would end them talks to the parent's selector, which a fork shares.
        _of_parents.append(self._sessions)
        self._sessions = {}

    def prepare(self, origin: str) -> None:
        """Build the TLS settings that an origin needs, so that the first request need not.

        Raises ConfigurationError if the proxy for the origin is of no use.
        """
        proxy = self._proxies.for_origin(origin)
        if self._ssl_context is None and needs_tls(origin, proxy):
            self._ssl_context = ssl.create_default_context()

    async def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt. See `airplane_runbooks.http.AsyncTransport` for what it promises."""
        if timeout is not None and timeout <= 0:
            raise AttemptTimeout("no time to send the request in", sent=False)
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else monotonic() + timeout
        session = self._sessions.get(loop) or await self._open(loop)
        pool = session.pools.get(request.origin) or self._new_pool(session, request.origin)
        try:
            connection = pool.take() or await pool.obtain(deadline)
            key = request.headers.raw().get(IDEMPOTENCY_HEADER)
            exchange = Exchange(loop, self._max_response_bytes, deadline, request.method, key)
            try:
                if pool.route.forwarder is not None or "host" in request.headers.raw():
                    request = _addressed(request, pool.route)
                await connection.carry(exchange, request, pool.route.host)
            finally:
                pool.give_back(connection, exchange)
            return exchange.result()
        except TransportError as failure:
            if self._closed:
                raise ClientClosed("the transport has been closed", sent=failure.sent) from None
            raise

    async def warm_up(self, origin: str, connections: int = 1, timeout: float | None = None) -> None:
        """Open connections to an origin, TLS included, until there are so many on this event loop.

        Raises TransportError if one cannot be opened within `timeout` seconds for all of them.
        """
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop) or await self._open(loop)
        pool = session.pools.get(origin) or self._new_pool(session, origin)
        try:
            await pool.warm_up(connections, None if timeout is None else monotonic() + timeout)
        except TransportError as failure:
            if self._closed:
                raise ClientClosed("the transport has been closed", sent=failure.sent) from None
            raise

    async def _open(self, loop: asyncio.AbstractEventLoop) -> _Session:
        if self._closed:
            raise ClientClosed("the transport has been closed", sent=False)
        for other in list(self._sessions):
            if other.is_closed():
                self._sessions.pop(other, None)
        session = self._sessions[loop] = _Session(loop, self._pool_size, self._ages)
        await anext(session.lifetime)
        return session

    def _new_pool(self, session: _Session, origin: str) -> OriginPool:
        try:
            route = self._new_route(origin)
        except ValueError as problem:
            raise ConnectError(f"no connection to {goal_of(origin, None)}: {problem}", transient=False) from problem
        pool = session.pools[origin] = OriginPool(route, session.places)
        return pool

    def _new_route(self, origin: str) -> Route | UnixRoute:
        if (path := socket_path_of(origin)) is not None:
            return UnixRoute(path)
        self.prepare(origin)
        return Route(origin, self._proxies.for_origin(origin), self._ssl_context)

    def pool_figures(self) -> dict[str, PoolFigures]:
        """Return the figures of each origin's connections, over all event loops; none once this has been closed."""
        found: dict[str, PoolFigures] = {}
        for loop, session in self._sessions.copy().items():
            if not loop.is_closed():
                for origin, pool in session.pools.copy().items():
                    found[origin] = found.get(origin, PoolFigures()) + pool.figures()
        return found

    def close_idle(self, origin: str) -> None:
        """Use no connection to an origin again that has been used before. May be called from any thread."""
        for session in list(self._sessions.values()):
            if (pool := session.pools.get(origin)) is not None:
                pool.distrusted += 1

    async def aclose(self) -> None:
        """End all requests and close all connections. Closing twice is fine."""
        self._closed = True
        sessions, self._sessions = self._sessions, {}
        here = sessions.pop(asyncio.get_running_loop(), None)
        for session in sessions.values():
            session.close_soon()
        if here is not None:
            await here.close()

    def __repr__(self) -> str:
        return f"AsyncioTransport(pool_size={self._pool_size}, closed={self._closed})"


_of_parents: list[object] = []


def _addressed(request: Request, route: Route | UnixRoute) -> Request:
    """Return a request as it goes over a route: without the host that a middleware gave, and as a proxy wants it."""
    headers = {name: value for name, value in request.headers.items() if name != "host"}
    if route.forwarder is None:
        return request.with_headers(Headers.of(headers))
    added = Headers(route.forwarder.headers)
    request.add_credentials(added)
    return msgspec.structs.replace(request, target=request.url, headers=Headers.of(headers).merged(added.raw()))


class _Session:
    """Connections and requests of one event loop.

    Attributes:
        pools: Connections by origin.
        places: What its pools have in common.
        lifetime: A generator that has been started. A loop that shuts down finishes it, as does its loss.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool_size: int, ages: ConnectionAges) -> None:
        self._loop = loop
        self._closing: asyncio.Task[None] | None = None
        self.pools: dict[str, OriginPool] = {}
        self.places = Places(loop, pool_size, ages)
        self.lifetime = _live(self.places.connections)

    async def close(self) -> None:
        """End all requests and close all connections."""
        for timer in self.places.timers:
            with contextlib.suppress(RuntimeError):  # it has expired by itself
                timer.reschedule(self._loop.time())
        await self.lifetime.aclose()

    def close_soon(self) -> None:
        """Do the same from another loop's thread, without waiting for it."""

        def start() -> None:
            self._closing = self._loop.create_task(self.close())

        with contextlib.suppress(RuntimeError):  # it has been closed, and cannot close anything any more
            self._loop.call_soon_threadsafe(start)


async def _live(connections: set[Connection]) -> AsyncGenerator[None, None]:
    """Close all connections in the end. It knows nothing else, so that it ends when the transport is forgotten."""
    try:
        yield
    finally:
        lost = [connection.lost for connection in connections]
        for connection in list(connections):
            connection.abort()
        if lost:
            await asyncio.wait(lost)
