"""The loop of a wait: polls until something has ended."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from .._responses.reading import retry_after
from ..errors import AirplaneError, APIError, DeadlineExceeded, WaitTimeout
from ..http import Headers
from ..models import Prompt, Run, Session
from ..policy import PollPolicy
from .schedule import checked_timeout, may_pass, next_poll
from .scope import OperationScope

T = TypeVar("T")
WaitedT = TypeVar("WaitedT", bound=Session | Run | Prompt)

# The object as a poll returned it, and the headers of the response.
Polled = tuple[WaitedT, Headers]

_DEFAULT_POLICY = PollPolicy()


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
        self._policy = poll or _DEFAULT_POLICY
        self._on_progress = on_progress
        self._failure: AirplaneError | None = None
        self._retry_after: float | None = None

    async def until(
        self,
        has_ended: Callable[[WaitedT], bool],
        fetch: Callable[[], Awaitable[Polled[WaitedT]]],
        subject: str,
        after_poll: AfterPoll[WaitedT] | None = None,
    ) -> WaitedT:
        """Poll until the end. Raises WaitTimeout at the deadline, and failures that cannot pass at once.

        Args:
            has_ended: Tells whether the object has ended.
            fetch: Makes one poll.
            subject: Name of the object in the message of WaitTimeout.
            after_poll: Further work after each poll.
        """
        unchanged = 0
        while True:
            self._failure = self._retry_after = None
            polled = await self.tolerate(fetch())
            changed = False
            if polled is not None:
                changed = await self._note(*polled)
                if has_ended(polled[0]):
                    return polled[0]
                if after_poll is not None:
                    changed = await after_poll(self, polled[0]) or changed
            unchanged = 0 if changed else unchanged + 1
            await self.scope.clock.sleep(self._delay(unchanged, subject))

    async def _note(self, fresh: WaitedT, headers: Headers) -> bool:
        """Note the object, report progress, and return whether the object has changed."""
        self._retry_after = retry_after(headers, self.scope.clock.wall())
        changed = fresh != self.last
        self.last = fresh
        if self._on_progress is not None:
            await result_of(self._on_progress(fresh, self.scope.elapsed))
        return changed

    def _delay(self, unchanged: int, subject: str) -> float:
        draw = int.from_bytes(os.urandom(4)) / 2**32
        delay = next_poll(self._policy, unchanged, retry_after=self._retry_after, left=self.scope.left, draw=draw)
        if delay is None:
            seen = "and was never seen" if self.last is None else f"last seen {_state(self.last)}"
            message = f"{subject} has not ended within {self._timeout} s, {seen}"
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
