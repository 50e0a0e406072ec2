"""Connections of aiohttp's pool that read and write HTTP/1.1 themselves.

aiohttp's own parser is lenient where leniency is how messages get mixed up, and its client is nearly twice the work. So
a connection is one of its connections to aiohttp's pool, but nothing that arrives on it gets as far as that parser.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import TypeVar

from aiohttp.client_proto import ResponseHandler
from urllib3.util.wait import wait_for_read

from ...errors import AttemptTimeout, ConnectionLost, TransportError
from ...http import IDEMPOTENCY_HEADER, Response
from ..http11 import (
    Head,
    Parser,
    as_response,
    is_reusable,
    render_head,
)

ErrorT = TypeVar("ErrorT", bound=TransportError)

# Bodies up to this size go out in one piece with the head; larger ones in pieces, between which others have their turn.
_JOINED_BODY = 64 * 1024
_PIECE = 64 * 1024


class Exchange:
    """One request and its response, carried over a connection.

    `key` is the idempotency key of the request.

    Attributes:
        done: Is set at the end, success or failure. It holds no result: a traceback may show the repr of a future.
        is_sent: Whether the whole request has left.
    """

    is_sent = False
    _head: Head | None = None
    _body: bytes | None = None
    _failure: TransportError

    def __init__(
        self, loop: asyncio.AbstractEventLoop, max_body: int, method: str = "GET", key: str | None = None
    ) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._parser = Parser(max_body, b"", method, key)
        self._max_body = max_body
        self._method = method

    @property
    def is_in_step(self) -> bool:
        """True if the stream stands right behind the response."""
        return self._parser.is_in_step

    @property
    def is_clean(self) -> bool:
        """True if another exchange may follow on the same connection."""
        if self._head is None or self._body is None:
            return False
        return self.is_sent and self.is_in_step and is_reusable(self._head, self._method)

    @property
    def is_echoed(self) -> bool:
        """True if the response repeats an idempotency key."""
        return self._head is not None and IDEMPOTENCY_HEADER in self._head.headers

    def demand_echo(self) -> None:
        """Take no success that does not repeat the idempotency key."""
        self._parser.must_echo = True

    def result(self) -> Response:
        """Return the response, or raise what came instead, once."""
        if self._head is not None and self._body is not None:
            return as_response(self._head, self._body, self._max_body)
        failure = self._failure
        del self._failure  # the traceback leads back here
        try:
            raise failure
        finally:
            del failure

    def receive(self, data: bytes) -> None:
        """Take what has arrived; nothing is the end of the stream."""
        self._parser.feed(data)
        if not self.done.done():
            self._advance()

    def _advance(self) -> None:
        try:
            if self._head is None:
                self._head = self._parser.head()
            if self._head is not None:
                self._body = self._read_body(self._head)
        except TransportError as failure:
            self._fail(failure)
        if self._body is not None:
            self.done.set_result(None)

    def _read_body(self, head: Head) -> bytes | None:
        return self._parser.body(head)

    def lose(self, problem: BaseException) -> None:
        """End because the connection has, unless the exchange has ended before."""
        if not self.done.done():
            # The problem itself is not kept: its traceback holds what was sent.
            detail = getattr(problem, "strerror", None) or type(problem).__name__
            self._fail(self._in_its_state(ConnectionLost(f"the connection broke while {self._doing()}: {detail}")))

    def timed_out(self) -> AttemptTimeout:
        """Return the error for an exchange whose time is over."""
        return self._in_its_state(AttemptTimeout(f"no time left while {self._doing()}"))

    def _fail(self, failure: TransportError) -> None:
        self._failure = failure
        self.done.set_result(None)

    def _doing(self) -> str:
        if self._head is not None:
            return "reading the body of the response"
        return "waiting for the response" if self.is_sent else "sending the request"

    def _in_its_state(self, failure: ErrorT) -> ErrorT:
        failure.status = None if self._head is None else self._head.status
        return failure


class HTTP11Connection(ResponseHandler):
    """A connection that aiohttp makes, and keeps while it is idle."""

    _exchange: Exchange | None = None
    _was_used = False
    served: int | None = None  # how often its pool had been distrusted when it was last used
    _echoes = False  # whether the server has repeated an idempotency key
    _early = b""  # what the server said before it was asked: an overloaded one may do that

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._new_future = loop.create_future
        self._writable = loop.create_future()
        self._writable.set_result(None)

    @property
    def is_stale(self) -> bool:
        """True if the server has ended the connection, or sent unrequested bytes, since it was last used."""
        return self._was_used and self._is_readable()

    async def carry(
        self, exchange: Exchange, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        """Send a request and wait for the end of the exchange."""
        transport, length = self.transport, None if body is None else len(body)
        if transport is None:
            raise ConnectionLost("the server closed the connection at once", sent=False)
        self._exchange, self._was_used = exchange, True
        if self._echoes:
            exchange.demand_echo()
        if self._early:
            exchange.receive(self._early)
            self._early = b""
        try:
            if body is None or len(body) <= _JOINED_BODY:
                transport.write(render_head(method, target, headers, length) + (body or b""))
                exchange.is_sent = True
            else:
                transport.write(render_head(method, target, headers, length))
                await self._write(transport, exchange, memoryview(body))
            await exchange.done
            exchange.is_sent = exchange.is_sent and not transport.get_write_buffer_size()
            self._echoes = self._echoes or exchange.is_echoed
        finally:
            self._exchange = None

    async def _write(self, transport: asyncio.WriteTransport, exchange: Exchange, rest: memoryview) -> None:
        """Send a large body, unless the exchange ends before it is through: then the server may never read the rest."""
        while rest:
            if not self._writable.done():
                await asyncio.wait((self._writable, exchange.done), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)
            if self._is_readable():
                # A write that fails takes with it what has not been read. So the loop gets to look, and then to read.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if exchange.done.done():
                return
            transport.write(rest[:_PIECE])
            rest = rest[_PIECE:]
        exchange.is_sent = True

    def _is_readable(self) -> bool:
        """Return True if bytes or the end of the stream wait to be read, or the stream is gone."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        return sock is None or wait_for_read(sock, timeout=0)

    def data_received(self, data: bytes) -> None:
        """Read on. Unrequested bytes cost the connection."""
        if self._exchange is not None:
            self._exchange.receive(data)
        elif self._was_used:
            self.close()
        else:
            self._early += data

    def eof_received(self) -> None:
        """End the exchange in progress. It succeeds if its body lasts until a regular end of the stream."""
        super().eof_received()
        if self._exchange is None:
            return
        if self._is_cut_off():
            self._exchange.lose(EOFError())
        else:
            self._exchange.receive(b"")

    def _is_cut_off(self) -> bool:
        """Return True if a TLS stream has ended without a close alert, as an attacker can cause (RFC 9112, 9.8)."""
        stream = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        try:
            return stream is not None and stream.read(1) != b""
        except ssl.SSLError:
            return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the exchange in progress."""
        super().connection_lost(exc)
        if self._exchange is not None:
            self._exchange.lose(exc or EOFError())

    def pause_writing(self) -> None:
        """Hold further pieces back."""
        super().pause_writing()
        self._writable = self._new_future()

    def resume_writing(self) -> None:
        """Let them go on."""
        super().resume_writing()
        self._writable.set_result(None)

    def close(self) -> None:
        """Close at once: asyncio's transports would first send what is left, for as long as the server pleases."""
        if self.transport is not None:
            self.transport.abort()
        super().close()
