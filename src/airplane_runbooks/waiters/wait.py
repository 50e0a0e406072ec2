"""The loop of a wait: polls until something has ended."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from .._responses.reading import applied_wait, retry_after
from ..errors import AirplaneError, APIError, DeadlineExceeded, WaitTimeout
from ..http import Reply
from ..models import Prompt, Run, Session
from ..operations import Operation
from ..policy import PollPolicy
from .long_polls import etag_of
from .schedule import Pace, checked_timeout, may_pass
from .scope import Known, OperationScope

T = TypeVar("T")
WaitedT = TypeVar("WaitedT", bound=Session | Run | Prompt)

_DEFAULT_POLICY = PollPolicy()


class Subject(NamedTuple, Generic[WaitedT]):
    """The object that is waited for.

    Attributes:
        name: Its name in messages.
        operation: The endpoint that reads it.
        request: The request for it.
        read: Returns it from the data of a reply.
        has_ended: Tells whether it has ended.
    """

    name: str
    operation: Operation[Any, Any]
    request: Any
    read: Callable[[Any], WaitedT]
    has_ended: Callable[[WaitedT], bool]


class AfterPoll(Protocol[WaitedT]):
    """Further work after each poll, such as answering prompts."""

    async def __call__(self, wait: Wait[WaitedT], polled: WaitedT, /) -> bool:
        """Do the work, and return whether it has changed anything on the server."""
        ...


class Wait(Generic[WaitedT]):
    """One wait for the end of a session, run or prompt.

    Attributes:
        scope: The operation that the wait is.
        last: The object as it was last seen; None if it never was.
    """

    def __init__(
        self,
        scope: OperationScope,
        *,
        timeout: float | None,
        poll: PollPolicy | None,
        on_progress: Callable[[WaitedT, float], object] | None,
    ) -> None:
        scope.limit(checked_timeout(timeout))
        self.scope = scope
        self.last: WaitedT | None = None
        self._timeout = timeout
        self._pace = Pace(poll or _DEFAULT_POLICY, reports_progress=on_progress is not None)
        self._on_progress = on_progress
        self._known: Known[Any] | None = None
        self._failure: AirplaneError | None = None
        self._retry_after: float | None = None

    async def until(self, subject: Subject[WaitedT], after_poll: AfterPoll[WaitedT] | None = None) -> WaitedT:
        """Poll until the end. Raises WaitTimeout at the deadline, and failures that cannot pass at once.

        Args:
            subject: The object that is waited for.
            after_poll: Further work after each poll.
        """
        while True:
            self._failure = self._retry_after = None
            with self.scope.long_poll(self._pace.longest_wait) as wait:
                call = self.scope.poll(subject.operation, subject.request, wait=wait, known=self._known)
                reply = await self.tolerate(call)
            if reply is not None:
                self.last = polled = subject.read(reply.data)
                changed = await self._note(reply, polled)
                if subject.has_ended(polled):
                    return polled
                if after_poll is not None:
                    changed = await after_poll(self, polled) or changed
                applied = applied_wait(reply.response.headers, wait)
                self._pace.note_reply(applied=applied, took=reply.elapsed, changed=changed)
            self._note_failure(of_long_poll=reply is None and wait is not None)
            if delay := self._delay(subject.name):
                await self.scope.clock.sleep(delay)

    async def _note(self, reply: Reply[Any], polled: WaitedT) -> bool:
        """Note the reply, report progress, and return whether the object has changed."""
        headers = reply.response.headers
        self._retry_after = retry_after(headers, self.scope.clock.wall())
        before = self._known
        if reply.response.status != 304:
            self._known = Known(reply.data, etag_of(headers))
        if self._on_progress is not None:
            await result_of(self._on_progress(polled, self.scope.elapsed))
        return self._known != before

    def _note_failure(self, *, of_long_poll: bool) -> None:
        """Note a failure of the poll, or of the work that followed it, if there was one."""
        if self._failure is not None:
            self._pace.note_failure(of_long_poll=of_long_poll)

    def _delay(self, name: str) -> float:
        draw = int.from_bytes(os.urandom(4)) / 2**32
        delay = self._pace.delay(retry_after=self._retry_after, left=self.scope.left, draw=draw)
        if delay is None:
            seen = "and was never seen" if self.last is None else f"last seen {_state(self.last)}"
            limit = self._timeout and round(self._timeout, 3)  # what is left of a deadline has many digits
            reason = "" if self._failure is None else f"; the last poll failed: {self._failure}"
            message = f"{name} has not ended within {limit} s, {seen}{reason}"
            raise WaitTimeout(message, last=self.last) from self._failure
        return delay

    async def tolerate(self, call: Awaitable[T]) -> T | None:
        """Return a call's result, or None if it failed in a way that may pass."""
        try:
            return await call
        except AirplaneError as error:
            if not may_pass(error):
                raise
            self._failure = error
            self._retry_after = error.retry_after if isinstance(error, APIError | DeadlineExceeded) else None
            return None


def _state(seen: Session | Run | Prompt) -> str:
    return "open" if isinstance(seen, Prompt) else str(seen.status)


async def result_of(returned: object) -> object:
    """Return the result of a caller's function, which may have been a coroutine function."""
    return await returned if isinstance(returned, Awaitable) else returned
