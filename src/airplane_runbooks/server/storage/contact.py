"""Contact of a server with a database that several share: whether that has answered for long without a break.

Leases lapse while the database is away, as their owners cannot renew them then. So a server takes over what has lapsed
only if the database has answered it for as long as a lease lasts: by then, each owner that lives has renewed its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .transitions import LEASE

LONGEST_GAP = 5.0  # seconds between two answers; after a shorter outage, leases are renewed before they lapse
_TOLERANCE = 2.0  # seconds by which the database's clock may seem to jump, when it takes long to answer


class Contact:
    """Contact with one database. Safe for threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None  # since when there was no break, by the monotonic clock
        self._last = 0.0  # time of the last answer, likewise
        self._ahead = 0.0  # of the monotonic clock, in seconds, was the database's clock then

    @property
    def is_proven(self) -> bool:
        """True if all servers that live have had the time to renew their leases."""
        with self._lock:
            moment, since = self._monotonic(), self._since
            if since is None or moment > self._last + LONGEST_GAP:
                return False
            return moment >= since + LEASE.total_seconds()

    def note(self, asked: float, shown: float) -> None:
        """Note that the database, asked at this time of the monotonic clock, has answered and has shown its own."""
        with self._lock:
            moment = self._monotonic()
            ahead = shown - (asked + moment) / 2
            jumps = abs(ahead - self._ahead) > _TOLERANCE
            if self._since is None or moment > self._last + LONGEST_GAP or jumps:
                self._since = moment
            self._last, self._ahead = moment, ahead

    def lose(self) -> None:
        """Note that the database has not answered."""
        with self._lock:
            self._since = None
