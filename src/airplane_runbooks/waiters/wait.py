"""Waiting for something to end: when to look again, which is a pure decision, and the loop that looks."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from .._call.replies import is_transient, retry_after
from ..errors import (
    AirplaneError,
    APIError,
    ConfigurationError,
    DeadlineExceeded,
    TransportError,
    WaitTimeout,
)
from ..http import Headers
from ..models import Prompt, Run, Session
from ..policy import PollPolicy
from .scope import Composite

T = TypeVar("T")
WaitedT = TypeVar("WaitedT", bound=Session | Run | Prompt)

# What was seen, and the headers it came with.
Look = tuple[WaitedT, Headers]

# No look comes sooner after another, in seconds, whatever the policy or the server says; and no server puts one off
# for longer.
SHORTEST_DELAY = 0.05
LONGEST_PATIENCE = 3600.0

_DEFAULT_POLICY = PollPolicy()


def next_look(policy: PollPolicy, quiet: int, *, asked: float | None, left: float | None, draw: float) -> float | None:
    """Decide how many seconds to wait before the next look; None if there is none before the deadline.

    Pure: `quiet` counts the looks since something last changed, `asked` is the server's Retry-After, `left` the time
    until the deadline (None without one), and `draw` the random number, 0 to 1, that spreads waiters out. Where the
    next look would fall behind the deadline, a last one is taken shortly before it, unless the server asked for more.
    """
    if asked is None:
        bound = min(policy.max_delay, policy.initial_delay * policy.growth ** min(quiet, 100))
        delay = bound * (1 + draw) / 2
    else:
        delay = min(asked, LONGEST_PATIENCE) * (1 + draw / 10)
    delay = max(delay, SHORTEST_DELAY)
    if left is None or delay < left:
        return delay
    last = left - min(policy.initial_delay, left / 4)
    return last if asked is None and last >= SHORTEST_DELAY else None


def may_pass(error: AirplaneError) -> bool:
    """Whether a later look may succeed where this one failed."""
    if isinstance(error, TransportError):
        return error.transient
    if isinstance(error, APIError):
        return is_transient(error.status, error.headers)
    return isinstance(error, DeadlineExceeded)


class Then(Protocol[WaitedT]):
    """What else to do when something has been looked at, such as answering prompts."""

    async def __call__(self, wait: Wait[WaitedT], seen: WaitedT, /) -> bool:
        """Do it, and tell whether that has changed anything."""
        ...


class Wait(Generic[WaitedT]):
    """One wait, in the terms of the caller.

    Attributes:
        composite: The operation that it is.
        last: What was seen last.
    """

    def __init__(
        self,
        composite: Composite,
        *,
        timeout: float | None,
        poll: PollPolicy | None,
        on_progress: Callable[[WaitedT, float], object] | None,
    ) -> None:
        composite.limit(checked_timeout(timeout))
        self.composite = composite
        self.last: WaitedT | None = None
        self._timeout = timeout
        self._policy = poll or _DEFAULT_POLICY
        self._on_progress = on_progress
        self._failure: AirplaneError | None = None
        self._asked: float | None = None

    async def until(
        self,
        is_over: Callable[[WaitedT], bool],
        look: Callable[[], Awaitable[Look[WaitedT]]],
        what: str,
        then: Then[WaitedT] | None = None,
    ) -> WaitedT:
        """Look until it is over. Raises WaitTimeout at the deadline, and whatever no later look can mend."""
        quiet = 0
        while True:
            self._failure = self._asked = None
            seen = await self.survive(look())
            changed = False
            if seen is not None:
                changed = await self._take(*seen)
                if is_over(seen[0]):
                    return seen[0]
                if then is not None:
                    changed = await then(self, seen[0]) or changed
            quiet = 0 if changed else quiet + 1
            await self.composite.clock.sleep(self._delay(quiet, what))

    async def _take(self, fresh: WaitedT, headers: Headers) -> bool:
        """Take over what has been seen, and tell whether anything has changed."""
        self._asked = retry_after(headers, self.composite.clock.wall())
        changed = fresh != self.last
        self.last = fresh
        if self._on_progress is not None:
            await settled(self._on_progress(fresh, self.composite.elapsed))
        return changed

    def _delay(self, quiet: int, what: str) -> float:
        draw = int.from_bytes(os.urandom(4)) / 2**32
        delay = next_look(self._policy, quiet, asked=self._asked, left=self.composite.left, draw=draw)
        if delay is None:
            seen = "and was never seen" if self.last is None else f"last seen {_state(self.last)}"
            message = f"{what} has not ended within {self._timeout} s, {seen}"
            raise WaitTimeout(message, last=self.last) from self._failure
        return delay

    async def survive(self, call: Awaitable[T]) -> T | None:
        """Return a call's result, or None if it failed in a way that may pass."""
        try:
            return await call
        except AirplaneError as error:
            if not may_pass(error):
                raise
            self._failure = error
            self._asked = error.retry_after if isinstance(error, APIError | DeadlineExceeded) else None
            return None


def _state(seen: Session | Run | Prompt) -> str:
    return "open" if isinstance(seen, Prompt) else str(seen.status)


async def settled(result: object) -> object:
    """Return what a caller's function returned, awaited if it can be: so it may be a coroutine function."""
    return await result if isinstance(result, Awaitable) else result


def checked_timeout(timeout: float | None) -> float | None:
    """Return the seconds to wait. Raises ConfigurationError unless they are positive and finite, or None."""
    if timeout is None or (isinstance(timeout, int | float) and 0 < timeout < math.inf):
        return timeout
    raise ConfigurationError(
        f"timeout must be a positive, finite number of seconds, or None to wait for ever: {timeout!r}"
    )
