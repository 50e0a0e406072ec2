"""HTTP protocol of uvicorn, with limits on the resources that a connection holds, and with errors in JSON."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, ClassVar, cast

import h11
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ..errors import Overloaded
from .api.replies import error_reply, error_response
from .limits import Limits
from .scope import MARK_AUTHENTICATED, PARK, Wait

logger = logging.getLogger(__name__)

_DRAIN = 5  # whole seconds for requests that are being answered when the server closes
_MIN_PROGRESS = 256 * 1024  # bytes of a reply that a client has to take within the limit on writing
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SAME_ATTEMPT = 0.5  # seconds; the loop tries again after one second, and then fails many times at once
_CLOSED = "Invalid file descriptor: -1"  # what it raises when it tries again after the listener was closed
_EPISODE = 10.0  # seconds without a failure, after which the next one is logged again
_UNUSED = asyncio.Event()  # in place of one in each request whose body has been read
_WRITABLE = asyncio.Event()
_WRITABLE.set()
_CODES = {431: ("headers_too_large", "the request's line and headers are too large")}


def configure(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """Return the configuration by which uvicorn serves an application within limits."""
    server_limits = limits

    class Protocol(_Protocol):
        limits = server_limits
        anonymous: ClassVar[dict[_Protocol, None]] = {}
        waiting: ClassVar[set[_Protocol]] = set()

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,  # the application's logging is not a library's to configure
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=limits.max_head,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=_DRAIN,
    )


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI application that answers on connections beyond the limit."""
    response = error_response(Request(scope), Overloaded("too_many_connections", "too many connections are open"))
    response.headers["Connection"] = "close"
    response.headers["X-Airplane-Retryable"] = "true"  # nothing has been carried out
    await response(scope, receive, send)


class OutOfDescriptors:
    """Exception handler for failures to accept connections: one line in the log for all failures of an episode.

    Anonymous connections make room then, as they do when there are too many connections.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._protocol = cast("type[_Protocol]", config.http)
        self._failed_at = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an exception of the event loop."""
        problem = context.get("exception")
        if isinstance(problem, ValueError) and str(problem) == _CLOSED:
            return
        if not (isinstance(problem, OSError) and problem.errno in _OUT_OF_RESOURCES and "socket" in context):
            loop.default_exception_handler(context)
            return
        since, self._failed_at = loop.time() - self._failed_at, loop.time()
        if since > _EPISODE:
            logger.error("connections cannot be accepted for now: %s", problem.strerror)
        if since > _SAME_ATTEMPT:
            self._protocol.drop_anonymous(max(len(self._protocol.anonymous) // 2, 1))


class _Flow(FlowControl):
    """Flow control with an event of its own only while writing is paused: each takes 800 bytes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_writable_event = _WRITABLE

    def pause_writing(self) -> None:
        if not self.write_paused:
            self._is_writable_event = asyncio.Event()
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_writable_event = _WRITABLE


class _Timer:
    """A call that is made after a delay unless it is cleared before."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def set(self, delay: float, call: Callable[..., object], *args: object) -> None:
        self._handle = asyncio.get_running_loop().call_later(delay, call, *args)

    def clear(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class _Protocol(H11Protocol):
    """Closes connections on which a request's headers do not arrive, or whose client does not take its reply.

    A connection is anonymous until a caller has shown a valid key on it. When there are too many connections, the
    oldest anonymous one makes room for the next, so anonymous connections never keep users out.
    """

    limits: Limits
    anonymous: ClassVar[dict[_Protocol, None]]  # of one server, in the order of their arrival
    waiting: ClassVar[set[_Protocol]]  # of one server, in long polls; not counted among its connections
    _hang_up: asyncio.Future[None]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._head_timer = _Timer()
        self._write_timer = _Timer()
        # asyncio does this only for sockets that name their protocol, and those of our listener do not; without it,
        # each reply's body would wait behind its head for the client's delayed acknowledgement
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=0)  # so that every reply not taken at once is watched
        super().connection_made(transport)
        self.flow = _Flow(transport)
        most, now = self.limits.max_connections, self._count()
        if now <= most or self.drop_anonymous(1):
            self.anonymous[self] = None
            self.app = partial(self._call_app, self.app)
        elif now > most + most // 4:
            transport.abort()
        else:
            self.app = overloaded
        self._watch_head()

    @classmethod
    def drop_anonymous(cls, number: int) -> bool:
        """Abort up to `number` anonymous connections, the oldest first; False if there were none."""
        dropped = list(islice(cls.anonymous, number))
        for connection in dropped:
            del cls.anonymous[connection]
            connection.connections.discard(connection)  # at once: connection_lost is called only later
            connection.transport.abort()
        return bool(dropped)

    async def _call_app(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application. A request that it parks waits here, where it needs little memory."""
        parked: list[Wait] = []
        await app({**scope, MARK_AUTHENTICATED: self._mark_authenticated, PARK: parked.append}, receive, send)
        if parked:
            await (await self._wait(parked.pop(), scope))(scope, receive, send)

    async def _wait(self, wait: Wait, scope: Scope) -> Response:
        self._hang_up = asyncio.get_running_loop().create_future()
        self.waiting.add(self)
        # the larger part of a request that is not needed any more
        self.headers[:] = [pair for pair in self.headers if pair[0] == b"connection"]
        self.cycle.message_event = _UNUSED
        try:
            response = await wait(scope, self._receive_hang_up)
        finally:
            self.waiting.discard(self)
        # many may end at a time, and must leave room for others
        if self._count() > self.limits.max_connections // 2:
            response.headers["Connection"] = "close"
        return response

    async def _receive_hang_up(self) -> Message:
        if not self.transport.is_closing():
            await self._hang_up
        return {"type": "http.disconnect"}

    def _mark_authenticated(self) -> None:
        self.anonymous.pop(self, None)

    def _count(self) -> int:
        return len(self.connections) - len(self.waiting)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.clear()
        self._write_timer.clear()
        self.anonymous.pop(self, None)
        if self in self.waiting and not self._hang_up.done():
            self._hang_up.set_result(None)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:  # refused by its head: the rest is discarded, but not for long
            self._watch_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self._write_timer.is_set:
            self._watch_writing()

    def resume_writing(self) -> None:
        self._write_timer.clear()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if self._is_idle() and not self.transport.is_closing():
            hint = getattr(sys.exception(), "error_status_hint", 400)  # h11's exception is being handled
            self.transport.write(_raw_error(HTTPStatus(hint), msg))
        self.transport.close()

    def _is_idle(self) -> bool:
        cycle = cast(
            "RequestResponseCycle | None", self.cycle
        )  # None before the first request, although uvicorn declares otherwise
        return cycle is None or cycle.response_complete

    def _watch_head(self) -> None:
        if not self._is_idle():
            self._head_timer.clear()
        elif not self._head_timer.is_set:
            self._head_timer.set(self.limits.head_timeout, self.transport.close)

    def _watch_writing(self, before: int | None = None) -> None:
        """Check at intervals that the client has taken enough of its reply, and abort the connection otherwise."""
        left = self.transport.get_write_buffer_size()
        if before is not None and left > before - _MIN_PROGRESS:
            self.transport.abort()
        else:
            self._write_timer.set(self.limits.write_timeout, self._watch_writing, left)


def _raw_error(status: HTTPStatus, message: str) -> bytes:
    """Return the bytes of the reply to a request that h11 could not parse."""
    body = error_reply(status, *_CODES.get(status, ("invalid_http", message))).body
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-airplane-retryable: false\r\nx-content-type-options: nosniff\r\n"
        "cache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
