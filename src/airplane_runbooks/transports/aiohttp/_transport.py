"""The transport for many requests at a time: aiohttp's connector, and our own reading and writing of HTTP/1.1 on it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from typing import cast

from aiohttp import ClientError, ClientTimeout
from aiohttp.connector import Connection
from msgspec import UNSET, UnsetType

from ...errors import (
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    TransportError,
)
from ...http import (
    IDEMPOTENCY_HEADER,
    Fields,
    Headers,
    Request,
    Response,
)
from .._proxies import Proxies, Proxy, needs_tls
from ..base import DEFAULT_MAX_RESPONSE_BYTES, call_in_children
from ._connection import Exchange, HTTP11Connection
from ._connector import Connector, ConnectSpec

DEFAULT_POOL_SIZE = 256

_NO_TIMEOUT = ClientTimeout(total=None)


class AiohttpTransport:
    """Carry requests over aiohttp's connections, on the event loop that awaits them. Needs the extra `aiohttp`.

    Each event loop gets connections of its own, which are closed when `asyncio.run` shuts it down, if not before. A
    forked child gets its own, too. Names are resolved on the loop's default executor: no request waits for that longer
    than its timeout, but `asyncio.run` does, in the end.

    Args:
        pool_size: Connections kept per origin and event loop, and requests in flight at most; further ones wait for
            their turn, first come, first served.
        max_response_bytes: Largest response body, before and after decompression.
        ssl_context: TLS settings for servers and https proxies; by default the system's trust store.
        proxy: URL of an http or https proxy, user info included. By default the environment's HTTPS_PROXY, HTTP_PROXY,
            ALL_PROXY and NO_PROXY decide, of which only those count that are for the origin; None means no proxy. This
            machine itself is always reached directly.
    """

    def __init__(
        self,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | UnsetType | None = UNSET,
    ) -> None:
        self._closed = False
        self._pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        try:
            self._proxies = Proxies.of(proxy)
        finally:
            del proxy  # a traceback that shows local variables must not show its password
        if pool_size < 1 or max_response_bytes < 1:
            raise ConfigurationError("pool_size and max_response_bytes must be at least 1")
        self._ssl_context = ssl_context
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        call_in_children(self, AiohttpTransport._reset)

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
        session = self._sessions.get(asyncio.get_running_loop()) or await self._open()
        pool = session.pools.get(request.origin) or self._new_pool(session, request.origin)
        attempt = _Attempt(pool, self._max_response_bytes)
        timer = asyncio.timeout(timeout)
        session.timers.add(timer)
        try:
            async with timer:
                return await attempt.carry(session.connector, request)
        except (TimeoutError, TransportError) as failure:
            if self._closed:
                raise ClientClosed("the transport has been closed") from None
            if isinstance(failure, TransportError):
                raise
            raise attempt.timed_out() from None
        finally:
            session.timers.discard(timer)
            del timer  # which holds the task, which holds the error, which holds this frame

    async def _open(self) -> _Session:
        if self._closed:
            raise ClientClosed("the transport has been closed")
        for loop in list(self._sessions):
            if loop.is_closed():
                self._sessions.pop(loop, None)
        session = self._sessions[asyncio.get_running_loop()] = _Session()
        await anext(session.lifetime)
        return session

    def _new_pool(self, session: _Session, origin: str) -> _OriginPool:
        try:
            self.prepare(origin)
            pool = _OriginPool(origin, self._proxies.for_origin(origin), self._ssl_context, self._pool_size)
        except ValueError as problem:
            raise ConnectError(f"no connection: {problem}", transient=False) from problem
        session.pools[origin] = pool
        return pool

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
        return f"AiohttpTransport(pool_size={self._pool_size}, closed={self._closed})"


_of_parents: list[object] = []


class _Session:
    """Connections and requests of one event loop.

    Attributes:
        timers: Those of the requests in flight. To bring one forward ends its request.
        lifetime: A generator that has been started, so that a loop that shuts down finishes it, and closes.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None
        self.connector = Connector()
        self.pools: dict[str, _OriginPool] = {}
        self.timers: set[asyncio.Timeout] = set()
        self.lifetime = self._live()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.connector.close()

    async def close(self) -> None:
        """End all requests and close all connections."""
        for timer in self.timers:
            with contextlib.suppress(RuntimeError):  # it has expired by itself
                timer.reschedule(self._loop.time())
        await self.lifetime.aclose()

    def close_soon(self) -> None:
        """Do the same from another loop's thread, without waiting for it."""

        def start() -> None:
            self._closing = self._loop.create_task(self.close())

        with contextlib.suppress(RuntimeError):  # it has been closed, and cannot close anything any more
            self._loop.call_soon_threadsafe(start)


class _OriginPool:
    """Connections to one origin, on one event loop.

    Attributes:
        distrusted: How many times the connections that were idle have been found to be out of step.
        gate: Admits as many as there are connections, in the order of their coming.
        forwarder: The proxy, if it is one that forwards: it wants the whole URL, and its own headers.
    """

    def __init__(self, origin: str, proxy: Proxy | None, context: ssl.SSLContext | None, size: int) -> None:
        scheme, _, self.host = origin.partition("://")
        self.size = size
        self.distrusted = 0
        self.gate = asyncio.Semaphore(size)
        self.spec = ConnectSpec(origin, proxy, context)
        self.forwarder = proxy if scheme == "http" else None


class _Attempt:
    """One attempt, and how far it has come."""

    _is_admitted = False
    _exchange: Exchange | None = None

    def __init__(self, pool: _OriginPool, max_response_bytes: int) -> None:
        self._pool = pool
        self._max_response_bytes = max_response_bytes

    async def carry(self, connector: Connector, request: Request) -> Response:
        """Wait for a connection, and carry the request over it."""
        async with self._pool.gate:
            self._is_admitted = True
            connection = await self._connect(connector)
            key = request.headers.raw().get(IDEMPOTENCY_HEADER)
            exchange = Exchange(asyncio.get_running_loop(), self._max_response_bytes, request.method, key)
            self._exchange = exchange
            try:
                await self._exchange_over(_http11(connection), exchange, request)
            finally:
                if exchange.is_clean:
                    connection.release()
                else:
                    connection.close()
        return exchange.result()

    async def _exchange_over(self, http11: HTTP11Connection, exchange: Exchange, request: Request) -> None:
        http11.served = self._pool.distrusted
        target, fields = request.target, Fields(request.headers.raw())
        fields["host"] = self._pool.host
        if self._pool.forwarder is not None:
            target = request.url
            fields.update(self._pool.forwarder.headers)
            request.add_credentials(Headers(self._pool.forwarder.headers))
        await http11.carry(exchange, request.method, target, fields, request.body)

    async def _connect(self, connector: Connector) -> Connection:
        """Get a connection. An error here means that no byte of the request was sent."""
        try:
            while not self._may_use(_http11(connection := await connector.connect(self._pool.spec, [], _NO_TIMEOUT))):
                connection.close()
            return connection
        except (ClientError, OSError, ValueError) as failure:
            cause = failure.__cause__ or failure
            # A name that cannot be one, or a certificate not to be trusted, which will both be the same next time.
            raise ConnectError(f"no connection: {cause}", transient=not isinstance(cause, ValueError)) from failure

    def _may_use(self, http11: HTTP11Connection) -> bool:
        return not http11.is_stale and (http11.served is None or http11.served == self._pool.distrusted)

    def timed_out(self) -> TransportError:
        """Return the error for an attempt whose time is over."""
        if self._exchange is not None:
            return self._exchange.timed_out()
        if self._is_admitted:
            return AttemptTimeout("no time left while connecting", sent=False)
        return ConnectError(f"all {self._pool.size} connections stayed busy until the time was up")


def _http11(connection: Connection) -> HTTP11Connection:
    return cast(HTTP11Connection, connection.protocol)
