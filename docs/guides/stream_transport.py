"""A transport over asyncio's own connections, as short as one can be that keeps every promise."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from urllib.parse import urlsplit

from airplane_runbooks import (
    AirplaneError,
    AttemptTimeout,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    Request,
    Response,
)
from airplane_runbooks.transports.base import call_in_children
from airplane_runbooks.transports.http11 import Head, Parser, as_response, is_reusable, render_head


class StreamTransport:
    """Carries one attempt over a connection of its own or over one that is idle. Event loops and tasks may share it."""

    def __init__(
        self,
        *,
        pool_size: int = 16,
        max_response_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        max_connection_idle: float | None = 55.0,
        max_connection_age: float | None = 600.0,
    ) -> None:
        self.pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        self._ssl_context = ssl_context or ssl.create_default_context()
        self._idle_limit = inf if max_connection_idle is None else max_connection_idle
        self._age_limit = inf if max_connection_age is None else max_connection_age
        self._closed = False
        self._of_parents: list[object] = []
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        call_in_children(self, StreamTransport._reset)

    def _reset(self) -> None:
        self._of_parents.append(self._pools)  # kept: their end would reach the parent's selector, which a fork shares
        self._pools = {}

    async def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt."""
        if self._closed:
            raise ClientClosed("the transport has been closed")
        if timeout is not None and timeout <= 0:
            raise AttemptTimeout("no time to send the request in", sent=False)
        pool = await self._pool()
        late: AirplaneError = ConnectError(f"all {self.pool_size} connections stayed busy until the time was up")
        try:
            async with asyncio.timeout(timeout) as limit, pool.place_within(limit):
                late = AttemptTimeout("no time left while connecting", sent=False)
                connection = self._idle_one(pool, request.origin) or await _connected(request.origin, self._ssl_context)
                late = AttemptTimeout("no time left for the exchange")
                return await self._exchange(pool, connection, request)
        except TimeoutError:
            raise ClientClosed("the transport has been closed") if self._closed else late from None

    async def _exchange(self, pool: Pool, connection: Connection, request: Request) -> Response:
        try:
            response = await connection.exchange(request, self._max_response_bytes)
        except BaseException:  # cancellation included: no other request may read an answer that comes later
            connection.abort()
            raise
        if connection.is_reusable and not self._closed:
            pool.idle[request.origin].append(connection)
        else:
            connection.abort()
        return response

    def _idle_one(self, pool: Pool, origin: str) -> Connection | None:
        while pool.idle[origin]:
            connection, now = pool.idle[origin].pop(), monotonic()
            is_young = now - connection.used <= self._idle_limit and now - connection.opened <= self._age_limit
            if is_young and connection.is_quiet:
                return connection
            connection.abort()
        return None

    async def _pool(self) -> Pool:
        """Return the pool of the running event loop: connections cannot change from one to another."""
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            pool = self._pools[loop] = Pool(self.pool_size)
            pool.guard = self._until_the_loop_ends(loop)
            await anext(pool.guard)
        return self._pools[loop]

    async def _until_the_loop_ends(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        try:
            yield  # `asyncio.run` closes the generators of its loop in the end
        finally:
            self._pools.pop(loop).close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and end its requests."""
        self._closed = True
        if (pool := self._pools.get(asyncio.get_running_loop())) is not None:
            await pool.guard.aclose()


class Pool:
    """The connections of one event loop, and places for so many requests."""

    guard: AsyncGenerator[None]

    def __init__(self, size: int) -> None:
        self._places = asyncio.Semaphore(size)  # first come, first served
        self.idle: dict[str, list[Connection]] = defaultdict(list)
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def place_within(self, limit: asyncio.Timeout) -> AsyncGenerator[None]:
        """Wait for a place, and keep it for the length of an `async with`, until the limit or the end of the pool."""
        self._limits.add(limit)
        try:
            async with self._places:
                yield
        finally:
            self._limits.discard(limit)

    def close(self) -> None:
        """Close all idle connections, and end the requests on the others."""
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())
        for connections in self.idle.values():
            while connections:
                connections.pop().abort()


class Connection(asyncio.Protocol):
    """A connection, which carries one request at a time."""

    _transport: asyncio.Transport

    def __init__(self, host: str) -> None:
        self._host = host
        self._received = bytearray()
        self._at_end = False
        self._failure: Exception | None = None
        self._arrived = asyncio.Event()
        self._echoes = False  # whether the server has repeated an idempotency key
        self.is_reusable = False
        self.opened = self.used = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn what bytes are written to."""
        self._transport = transport  # type: ignore[assignment]  # one of streams

    def data_received(self, data: bytes) -> None:
        """Keep what has arrived, until it is asked for."""
        self._received += data
        self._arrived.set()

    def eof_received(self) -> None:
        """Learn that the server sends nothing more."""
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection has ended, and why."""
        self._at_end = True
        self._failure = self._failure or exc
        self._arrived.set()

    @property
    def is_quiet(self) -> bool:
        """True if nothing has arrived since the last response: neither its end nor bytes of another one."""
        return not self._received and not self._at_end

    async def exchange(self, request: Request, max_body: int) -> Response:
        """Send a request and read its response."""
        key = request.headers.get("idempotency-key")
        length = None if request.body is None else len(request.body)
        head = render_head(request.method, request.target, request.headers.raw(), length, self._host)
        self._transport.write(head + (request.body or b""))  # goes on while the answer is awaited
        parser = Parser(max_body, b"", request.method, key, self._echoes)
        while (answer := parser.head()) is None:
            parser.feed(await self._receive(None))
        while (body := parser.body(answer)) is None:
            parser.feed(await self._receive(answer))
        was_sent = self._transport.get_write_buffer_size() == 0
        self._echoes = self._echoes or "idempotency-key" in answer.headers
        self.is_reusable = was_sent and parser.is_in_step and is_reusable(answer, request.method)
        self.used = monotonic()
        return as_response(answer, body, max_body)

    async def _receive(self, answer: Head | None) -> bytes:
        """Return what has arrived; nothing at the end of the stream."""
        while not self._received:
            if self._failure is not None:
                lost = ConnectionLost(f"the connection broke: {type(self._failure).__name__}")
                lost.status = None if answer is None else answer.status
                raise lost
            if self._at_end:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._received)
        self._received.clear()
        return data

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()


async def _connected(origin: str, ssl_context: ssl.SSLContext) -> Connection:
    url = urlsplit(origin)
    host, is_tls = url.hostname or "", url.scheme == "https"
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(url.netloc),
            host,
            url.port or (443 if is_tls else 80),
            ssl=ssl_context if is_tls else None,
        )
    except ssl.SSLCertVerificationError as failure:
        reason = failure.verify_message
        raise ConnectError(f"the server's certificate is not trusted: {reason}", transient=False) from failure
    except (OSError, UnicodeError) as failure:
        raise ConnectError(f"no connection to {host}: {failure}") from failure
    return connection
