"""Clocks of the clients. Tests replace them by a fake one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from ._latch import Latch

if TYPE_CHECKING:
    from asyncio import Future


class Clock(Protocol):
    """Reads the time and sleeps. `now` is monotonic; both count seconds."""

    def now(self) -> float:
        """Return the monotonic time."""
        ...

    def wall(self) -> float:
        """Return the time since the epoch, for HTTP dates."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Sleep. The clock of a sync client blocks here and never suspends."""
        ...

    def close(self) -> None:
        """Wake all sleepers, present and future."""
        ...


class BlockingClock:
    """The system's clock for sync clients. Closing it cuts sleeps short, so that a client closes at once."""

    def __init__(self) -> None:
        self._closed = Latch()
        self.now = time.monotonic
        self.wall = time.time

    async def sleep(self, seconds: float, /) -> None:
        """Block the thread."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Wake all sleepers."""
        self._closed.set()


class AsyncioClock:
    """The system's clock for async clients. Closing it, from any thread, cuts sleeps short."""

    def __init__(self) -> None:
        self._closed = False
        self._sleepers: set[Future[None]] = set()
        self.now = time.monotonic
        self.wall = time.time

    async def sleep(self, seconds: float, /) -> None:
        """Suspend the task."""
        import asyncio  # late: services that import this package without building an async client do not need it

        if self._closed:
            return
        loop = asyncio.get_running_loop()
        sleeper: Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)

    def close(self) -> None:
        """Wake all sleepers."""
        self._closed = True
        for sleeper in tuple(self._sleepers):
            if not (loop := sleeper.get_loop()).is_closed():
                loop.call_soon_threadsafe(_wake, sleeper)


def _wake(sleeper: Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
