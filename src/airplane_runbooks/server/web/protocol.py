"""The HTTP protocol of uvicorn, with bounds on what one connection may hold, and with refusals in JSON."""

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
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ..errors import Overloaded
from .api.endpoint import KNOWN, error_reply, refuse
from .limits import Limits

logger = logging.getLogger(__name__)

_DRAIN = 5  # whole seconds for calls that are being answered when the server closes
_LEAST = 256 * 1024  # bytes of a reply to be taken within the limit on writing
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SAME_TRY = 0.5  # seconds; the loop tries again after one, and then fails many times at once
_EPISODE = 10.0  # seconds without a failure, after which the next one is news
_CODES = {431: ("headers_too_large", "the request's line and headers are too large")}


def configure(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """Return how uvicorn is to serve an application within limits."""
    bounds = limits

    class Protocol(_Protocol):
        limits = bounds
        strangers: ClassVar[dict[_Protocol, None]] = {}

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
    """Refuse a request on a connection too many, as an ASGI application does."""
    response = refuse(Request(scope), Overloaded("too_many_connections", "too many connections are open"))
    response.headers["Connection"] = "close"
    response.headers["X-Airplane-Retryable"] = "true"  # nothing of it has been carried out
    await response(scope, receive, send)


class OutOfDescriptors:
    """Handles the loop's failures to accept connections: with one line in the log until it has succeeded for a while.

    Strangers make room then, as they do when there are too many connections.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._protocol = cast("type[_Protocol]", config.http)
        self._failed_at = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take the place of a loop's exception handler."""
        problem = context.get("exception")
        if not (isinstance(problem, OSError) and problem.errno in _SCARCE and "socket" in context):
            loop.default_exception_handler(context)
            return
        since, self._failed_at = loop.time() - self._failed_at, loop.time()
        if since > _EPISODE:
            logger.error("connections cannot be accepted for now: %s", problem.strerror)
        if since > _SAME_TRY:
            self._protocol.drop_strangers(max(len(self._protocol.strangers) // 2, 1))


class _Timer:
    """One call to be made later, or not at all."""

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
    """Closes connections on which a request's headers do not arrive, or from which a reply is not taken.

    Those on which nobody has shown a key yet are strangers. When there are too many connections, the oldest stranger
    makes room for the next: however many there are of them, they keep nobody out.
    """

    limits: Limits
    strangers: ClassVar[dict[_Protocol, None]]  # of one server, in the order of their arrival

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._head_timer = _Timer()
        self._reader_timer = _Timer()
        # asyncio does this only for sockets that name their protocol, and those of our listener do not; without it,
        # each reply's body would wait behind its head for the client's delayed acknowledgement
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=0)  # so that whatever is not taken at once is watched
        super().connection_made(transport)
        most, now = self.limits.max_connections, len(self.connections)
        if now <= most or self.drop_strangers(1):
            self.strangers[self] = None
            self.app = partial(self._introduce, self.app)
        elif now > most + most // 4:
            transport.abort()
        else:
            self.app = overloaded
        self._guard_head()

    @classmethod
    def drop_strangers(cls, number: int) -> bool:
        """Cut so many strangers off, the oldest first; False if there were none."""
        dropped = list(islice(cls.strangers, number))
        for stranger in dropped:
            del cls.strangers[stranger]
            stranger.connections.discard(stranger)  # now: it is told of its end only later
            stranger.transport.abort()
        return bool(dropped)

    async def _introduce(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, KNOWN: self._become_known}, receive, send)

    def _become_known(self) -> None:
        self.strangers.pop(self, None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._guard_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.clear()
        self._reader_timer.clear()
        self.strangers.pop(self, None)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:  # refused by its head: the rest is thrown away, but not for long
            self._guard_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self._reader_timer.is_set:
            self._watch_reader()

    def resume_writing(self) -> None:
        self._reader_timer.clear()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if self._is_idle() and not self.transport.is_closing():
            hint = getattr(sys.exception(), "error_status_hint", 400)  # h11's exception is being handled
            self.transport.write(_raw_refusal(HTTPStatus(hint), msg))
        self.transport.close()

    def _is_idle(self) -> bool:
        cycle = cast(
            "RequestResponseCycle | None", self.cycle
        )  # None before the first request, whatever uvicorn declares
        return cycle is None or cycle.response_complete

    def _guard_head(self) -> None:
        if not self._is_idle():
            self._head_timer.clear()
        elif not self._head_timer.is_set:
            self._head_timer.set(self.limits.head_timeout, self.transport.close)

    def _watch_reader(self, before: int | None = None) -> None:
        """Look every so often whether the client has taken enough; otherwise cut it off, with all that waits for it."""
        left = self.transport.get_write_buffer_size()
        if before is not None and left > before - _LEAST:
            self.transport.abort()
        else:
            self._reader_timer.set(self.limits.write_timeout, self._watch_reader, left)


def _raw_refusal(status: HTTPStatus, message: str) -> bytes:
    """Return the answer to what h11 could not read as a request."""
    body = error_reply(status, *_CODES.get(status, ("invalid_http", message))).body
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-airplane-retryable: false\r\nx-content-type-options: nosniff\r\n"
        "cache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
