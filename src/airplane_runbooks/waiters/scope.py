"""The scope of one operation that makes several calls: its time, its calls, and its errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from .._responses.redaction import secrets_in
from ..clock import Clock
from ..errors import AirplaneError
from ..http import CallState, Headers, Reply
from ..operations import Operation, ReplyT, RequestT
from ..options import RenderedOptions


class Calls(Protocol):
    """The client's core, as far as operations use it."""

    @property
    def clock(self) -> Clock:
        """The client's clock."""
        ...

    def begin(self, options: RenderedOptions, timeout: float | None) -> CallState:
        """Return the state of a call that starts now."""
        ...

    async def perform(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, options: RenderedOptions, call: CallState
    ) -> Reply[ReplyT]:
        """Carry out a call."""
        ...


class OperationScope:
    """Shared state of an operation's calls. Each attempt has a span; the deadline holds for all calls together.

    Attributes:
        clock: The client's clock.
        attempts: Number of requests.
        session_id: ID of the session that the operation is about, once it is known.
        idempotency_key: Key by which repeating the operation leads to the same session, if it has started one.
        sent: Request headers in which all credentials occur that were sent.
    """

    def __init__(self, calls: Calls, options: RenderedOptions) -> None:
        self.clock = calls.clock
        self.attempts = 0
        self.session_id: str | None = None
        self.idempotency_key: str | None = None
        self.sent: tuple[Headers, ...] = ()
        self._calls = calls
        self._options = options
        self._started = calls.clock.now()
        self.limit(options.timeout)

    def limit(self, timeout: float | None) -> None:
        """Limit all calls and the waits between them to so many seconds since the start; None removes the limit."""
        self._deadline = None if timeout is None else self._started + timeout

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock.now() - self._started

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, zero or less if it has passed; None without one."""
        return None if self._deadline is None else self._deadline - self.clock.now()

    @contextmanager
    def as_one_call(self) -> Generator[None, None, None]:
        """Limit all calls in a `with` statement together to the time of one call."""
        outer = self._deadline
        if self._options.timeout is not None:
            end = self.clock.now() + self._options.timeout
            self._deadline = end if outer is None or end < outer else outer
        try:
            yield
        finally:
            self._deadline = outer

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        keyed: bool = False,
        at_least: float = 0.0,
    ) -> Reply[ReplyT]:
        """Make one of the calls within the time left.

        Args:
            operation: The endpoint.
            request: Its request.
            keyed: Whether this is the call that carries the caller's own idempotency key.
            at_least: Seconds that the call may take even if less time is left.
        """
        timeout, left = self._options.timeout, self.left
        if left is not None:
            left = max(left, at_least)
            timeout = left if timeout is None or left < timeout else timeout
        call = self._calls.begin(self._options, timeout)
        if not keyed:
            call.idempotency_key = None
        try:
            return await self._calls.perform(operation, request, self._options, call)
        finally:
            self.attempts += call.attempts
            if not secrets_in(call.sent) <= secrets_in(self.sent):
                self.sent += call.sent

    def annotate(self, error: AirplaneError, name: str) -> None:
        """Complete an error with the state of the whole operation."""
        if error.operation is None:
            error.operation = name
            error.attempts = self.attempts
        if error.session_id is None:
            error.session_id = self.session_id
        if self.idempotency_key is not None:
            error.idempotency_key = self.idempotency_key
            error.maybe_processed = True
