"""One request and its response, as they pass over a connection."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from ...errors import AttemptTimeout, ConnectionLost, TransportError
from ...http import IDEMPOTENCY_HEADER, Response
from ..http11 import Head, Parser, as_response, is_reusable, whole_response

ErrorT = TypeVar("ErrorT", bound=TransportError)


class Exchange:
    """One request and its response, carried over a connection.

    `deadline` is a reading of the monotonic clock at which it must have ended, `key` the idempotency key of the
    request.

    Attributes:
        deadline: The deadline; None sets no limit.
        done: Is set at the end, success or failure. It holds no result: a traceback may show the repr of a future.
        is_sent: Whether the whole request has left.
    """

    is_sent = False
    _may_be_whole = True
    _must_echo = False
    _parser: Parser | None = None
    _head: Head | None = None
    _body: bytes | None = None
    _failure: TransportError

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        max_body: int,
        deadline: float | None = None,
        method: str = "GET",
        key: str | None = None,
    ) -> None:
        self.deadline = deadline
        self.done: asyncio.Future[None] = loop.create_future()
        self._max_body = max_body
        self._method = method
        self._key = key

    @property
    def is_in_step(self) -> bool:
        """True if the stream stands right behind the response."""
        return self._parser is None or self._parser.is_in_step

    @property
    def is_clean(self) -> bool:
        """True if another exchange may follow on the same connection."""
        if self._head is None or self._body is None or not self.is_sent:
            return False
        return self.is_in_step and is_reusable(self._head, self._method)

    @property
    def is_echoed(self) -> bool:
        """True if the response repeats an idempotency key."""
        return self._head is not None and IDEMPOTENCY_HEADER in self._head.headers

    def demand_echo(self) -> None:
        """Take no success that does not repeat the idempotency key."""
        self._must_echo = True

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
        if self._parser is None:
            if self._may_be_whole and not self.done.done():
                whole = whole_response(data, self._max_body, self._key, self._must_echo)
                if whole is not None:
                    self._head, self._body = whole
                    self.done.set_result(None)
                    return
            self._parser = Parser(self._max_body, b"", self._method, self._key, self._must_echo)
        self._parser.feed(data)
        if not self.done.done():
            self._advance(self._parser)

    def _advance(self, parser: Parser) -> None:
        try:
            if self._head is None:
                self._head = parser.head()
            if self._head is not None:
                self._body = self._read_body(parser, self._head)
        except TransportError as failure:
            self._fail(failure)
        if self._body is not None:
            self.done.set_result(None)

    def _read_body(self, parser: Parser, head: Head) -> bytes | None:
        return parser.body(head)

    def lose(self, problem: BaseException) -> None:
        """End because the connection has, unless the exchange has ended before."""
        if not self.done.done():
            # The problem itself is not kept: its traceback holds what was sent.
            detail = getattr(problem, "strerror", None) or type(problem).__name__
            self._fail(self._in_its_state(ConnectionLost(f"the connection broke while {self._doing()}: {detail}")))

    def expire(self) -> None:
        """End because the time is over, unless the exchange has ended before."""
        if not self.done.done():
            self._fail(self._in_its_state(AttemptTimeout(f"no time left while {self._doing()}")))

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


class Opening(Exchange):
    """Exchange with a proxy that opens a tunnel. The bytes after the head of its answer belong to the server."""

    _may_be_whole = False

    def _read_body(self, parser: Parser, head: Head) -> bytes:  # noqa: ARG002  # it has no body
        return b""
