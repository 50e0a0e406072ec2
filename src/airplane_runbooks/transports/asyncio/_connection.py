"""Connection of an event loop that writes and reads HTTP/1.1 by our own parser."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import cast

from ...errors import ConnectionLost
from ...http import Request
from .._sockets import await_acknowledgement
from ..http11 import MAX_HEAD, render_head
from ._exchange import Exchange

# Bodies up to this size go out in one piece with the head; larger ones in pieces, between which others have their turn.
_JOINED_BODY = 64 * 1024
_PIECE = 64 * 1024
_MOST_PIECES = 128  # more than a system keeps of what has not been read


class Connection(asyncio.Protocol):
    """One connection, in the clear or under TLS, over which one exchange passes at a time.

    Attributes:
        transport: What sends the bytes; None before the connection is made and after it has ended.
        lost: Is set once the loop has let go of the connection.
        opened: When the connection was made, as a reading of the monotonic clock in seconds.
        used: When its last exchange ended.
        trust: How often its pool had been distrusted when the connection was made.
    """

    transport: asyncio.Transport | None = None
    trust = 0
    _exchange: Exchange | None = None
    _was_used = False
    _may_hold_tickets = False  # whether what waits to be read may be TLS's own, which is sent before any response
    _echoes = False  # whether the server has repeated an idempotency key
    _early = b""  # what the server said before it was asked: an overloaded one may do that
    _timer: asyncio.TimerHandle | None = None
    _rings_at = 0.0
    _writable: asyncio.Future[None] | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._is_readable = _readability_of(sock)
        self.opened = self.used = monotonic()
        self.lost: asyncio.Future[None] = loop.create_future()

    @property
    def is_stale(self) -> bool:
        """True if the connection has ended, or unrequested bytes have arrived on it."""
        return self.transport is None or (self._was_used and not self._may_hold_tickets and self._is_readable())

    def carry(self, exchange: Exchange, request: Request, host: str) -> Awaitable[None]:
        """Send a request whose headers name no host. What this returns lasts until the end of the exchange.

        The caller then calls `end`. There is no coroutine of ours for what is sent in one piece, since that costs.
        """
        if self._may_hold_tickets:
            return self._carry_later(exchange, request, host)
        transport, body = self.transport, request.body
        if transport is None:
            raise ConnectionLost("the server closed the connection at once", sent=False)
        self._exchange, self._was_used = exchange, True
        if exchange.deadline is not None and (self._timer is None or exchange.deadline < self._rings_at):
            self._set_timer(exchange.deadline)
        if self._echoes:
            exchange.demand_echo()
        if self._early:
            exchange.receive(self._early)
            self._early = b""
        # The bytes that are sent are bound to no name, which a traceback could show.
        if body is None:
            transport.write(render_head(request.method, request.target, request.headers.raw(), None, host))
        elif len(body) <= _JOINED_BODY:
            transport.write(render_head(request.method, request.target, request.headers.raw(), len(body), host) + body)
        else:
            transport.write(render_head(request.method, request.target, request.headers.raw(), len(body), host))
            return self._carry_large(transport, exchange, memoryview(body))
        exchange.is_sent = True
        return exchange.done

    async def _carry_later(self, exchange: Exchange, request: Request, host: str) -> None:
        await self._read_tickets()
        await self.carry(exchange, request, host)

    def end(self, exchange: Exchange) -> bool:
        """Let go of an exchange, however it ended. Return True if another one may follow."""
        self._exchange = None
        if self.transport is None or not exchange.is_clean or self.transport.get_write_buffer_size():
            return False
        self._echoes = self._echoes or exchange.is_echoed
        self.used = monotonic()
        return True

    async def _carry_large(self, transport: asyncio.WriteTransport, exchange: Exchange, body: memoryview) -> None:
        """Send a large body, over which a server may take its time, and wait for the end of the exchange."""
        self._await_acknowledgement(soon=False)
        await self._write(transport, exchange, body)
        await exchange.done
        self._await_acknowledgement(soon=True)

    def _await_acknowledgement(self, *, soon: bool) -> None:
        with contextlib.suppress(OSError):  # the socket is closed before TLS says so
            await_acknowledgement(self._sock, soon=soon)

    async def _write(self, transport: asyncio.WriteTransport, exchange: Exchange, rest: memoryview) -> None:
        """Send a large body, unless the exchange ends before it is through: then the server may never read the rest."""
        while rest:
            if self._writable is not None:
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

    def _set_timer(self, at: float) -> None:
        """Have the exchange looked at when its time is over.

        The timer is not that of one exchange: it is cheaper to let it ring in vain than to start and stop it each time.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = self._loop.call_later(at - monotonic(), self._look_at_time)

    def _look_at_time(self) -> None:
        self._timer = None
        if self._exchange is None or self._exchange.deadline is None:
            return
        if self._exchange.deadline <= self._rings_at:
            self._exchange.expire()
        else:
            self._set_timer(self._exchange.deadline)

    def rest(self) -> None:
        """Be idle without having sent a request: what arrives in the meantime costs the connection.

        A connection that has sent none at all may be told TLS's own messages. This is not counted as a use of it.
        """
        if not self._was_used and self.transport is not None:
            self._may_hold_tickets = self.transport.get_extra_info("ssl_object") is not None
        self._was_used = True
        if self._early:
            self.abort()

    async def _read_tickets(self) -> None:
        """Let the loop read what has arrived on an idle connection: anything but TLS's own messages ends it."""
        self._may_hold_tickets = False
        for _ in range(3):
            if self.transport is not None and self._is_readable():
                await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn what sends the bytes."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class

    def restart(self, transport: asyncio.Transport) -> None:
        """Begin anew: within a tunnel, where the server has not been asked yet."""
        self.transport = transport
        self._was_used = self._echoes = False

    def data_received(self, data: bytes) -> None:
        """Read on. Unrequested bytes cost the connection."""
        if self._exchange is not None:
            self._exchange.receive(data)
        elif self._was_used or len(self._early) > MAX_HEAD:
            self.abort()
        else:
            self._early += data

    def eof_received(self) -> None:
        """End the exchange in progress. It succeeds if its body lasts until a regular end of the stream."""
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
        if exc is not None and self._exchange is not None and self.transport is not None:
            self._read_rest(self.transport, self._exchange)
        self._end(exc or EOFError())
        if not self.lost.done():
            self.lost.set_result(None)

    def _read_rest(self, transport: asyncio.Transport, exchange: Exchange) -> None:
        """Read what a server has said before it stopped listening: the loop leaves it unread if a write fails.

        The end of the stream is not told: it may be that of a response that was cut short. Under TLS, what has arrived
        can no longer be decrypted.
        """
        if transport.get_extra_info("ssl_object") is not None:
            return
        with contextlib.suppress(OSError):
            for _ in range(_MOST_PIECES):
                if exchange.done.done() or not (received := self._sock.recv(_PIECE)):
                    return
                exchange.receive(received)

    def pause_writing(self) -> None:
        """Hold further pieces back."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let them go on."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def abort(self) -> None:
        """Close at once: a regular end would first send what is left, for as long as the server pleases."""
        transport = self.transport
        self._end(EOFError())
        if transport is not None:
            transport.abort()

    def _end(self, problem: BaseException) -> None:
        self.transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._exchange is not None:
            self._exchange.lose(problem)


def _readability_of(sock: socket.socket) -> Callable[[], bool]:
    """Return what tells whether bytes or the end of the stream wait to be read from a socket."""
    if not hasattr(select, "poll"):
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return lambda: bool(poll.poll(0))
