"""Latch for threads that signals interrupt."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from math import inf

_LOOK = 1.0  # seconds


class Latch:
    """An event that happens once, for waiters that signals may interrupt at any moment.

    The waiters of `threading.Event` share a lock. A KeyboardInterrupt that comes just after one of them has taken it
    leaves it taken for ever: neither `set` nor another `wait` would return. Here each waits on a lock of its own.

    A signal that comes just before a thread blocks does not wake it, and Python calls its handler once the thread runs
    again. So a waiter wakes up once a second.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[threading.Lock] = []

    def set(self) -> None:
        """End every wait, now and later. Idempotent. A signal handler may call it."""
        self._is_set = True
        with suppress(IndexError):  # a waiter or another thread may have taken out the last one meanwhile
            while True:
                self._waiting.pop().release()

    def wait(self, seconds: float = inf) -> None:
        """Return once the latch is set, at the latest after `seconds`."""
        end = time.monotonic() + seconds
        own = threading.Lock()
        own.acquire()
        self._waiting.append(own)
        try:
            # looked at after the lock was added: a `set` in between has released it
            while not self._is_set and (left := end - time.monotonic()) > 0:
                own.acquire(timeout=min(left, _LOOK))
        finally:
            with suppress(ValueError):  # `set` has taken it out
                self._waiting.remove(own)
