"""Several calls that make one operation, as their author sees them: what is left of the time, and the next call."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .._call.redaction import secrets_in
from ..errors import AirplaneError
from ..http import Headers, Reply
from ..operations import Operation, ReplyT, RequestT
from ..options import Resolved

if TYPE_CHECKING:
    from .._call.core import Core
else:
    Core = Any  # for those who read annotations


class Composite:
    """An operation made of several calls. Its spans are those of the attempts; its deadline holds for all calls.

    Attributes:
        clock: The client's clock.
        attempts: How many requests were made.
        session_id: The session that it is about, once that is known.
        idempotency_key: The key by which repeating the operation leads to the same session, if it has started one.
        sent: Headers of requests in which all credentials occur that were sent.
    """

    def __init__(self, core: Core, options: Resolved) -> None:
        self.clock = core.clock
        self.attempts = 0
        self.session_id: str | None = None
        self.idempotency_key: str | None = None
        self.sent: tuple[Headers, ...] = ()
        self._core = core
        self._options = options
        self._started = core.clock.now()
        self.limit(options.timeout)

    def limit(self, timeout: float | None) -> None:
        """Take another limit than that of a call: seconds for all calls and what is between them; None for none."""
        self._deadline = None if timeout is None else self._started + timeout

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock.now() - self._started

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, none or less if it has passed; None without one."""
        return None if self._deadline is None else self._deadline - self.clock.now()

    @contextmanager
    def as_one_call(self) -> Generator[None, None, None]:
        """Bound all calls in a `with` statement together as one call is bound."""
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
        """Make one of the calls, within what is left of the time but with `at_least` so many seconds.

        The caller's own idempotency key is for the one call that is `keyed`.
        """
        timeout, left = self._options.timeout, self.left
        if left is not None:
            left = max(left, at_least)
            timeout = left if timeout is None or left < timeout else timeout
        call = self._core.begin(operation.name, self._options, timeout)
        if not keyed:
            call.idempotency_key = None
        try:
            return await self._core.perform(operation, request, self._options, call)
        finally:
            self.attempts += call.attempts
            if not secrets_in(call.sent) <= secrets_in(self.sent):
                self.sent += call.sent

    def annotate(self, error: AirplaneError, name: str) -> None:
        """Leave on an error what all calls together have come to."""
        if error.operation is None:
            error.operation = name
            error.attempts = self.attempts
        if error.session_id is None:
            error.session_id = self.session_id
        if self.idempotency_key is not None:
            error.idempotency_key = self.idempotency_key
            error.maybe_processed = True
