"""Time, as the chain sees it: replaced by a fake one in tests."""

from __future__ import annotations

import threading
import time
from typing import Protocol


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
        """Wake everybody who sleeps, now and later."""
        ...


class BlockingClock:
    """The system's clock for sync clients. Closing it cuts sleeps short, so that a client closes at once."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self.now = time.monotonic
        self.wall = time.time

    async def sleep(self, seconds: float, /) -> None:
        """Block the thread."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Wake all sleepers."""
        self._closed.set()
