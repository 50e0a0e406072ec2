"""Patience with other servers after an outage that all of them may have seen."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_GAP = 6.5  # seconds between two looks at the database, without an outage; less than a lease


class Patience:
    """Time after an outage of the database in which other servers can renew the leases that have lapsed meanwhile.

    An outage is a failed look, or a look that comes late. Its end is the next look that succeeds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._reached_at: float | None = None
        self._until = clock()
        self._failed = False

    @property
    def is_over(self) -> bool:
        """True if what has lapsed may be taken over."""
        return self._seconds == 0 or (not self._is_out and self._clock() >= self._until)

    def reached(self) -> None:
        """Note that the database has answered."""
        if self._is_out:
            self._until = self._clock() + self._seconds
        self._failed = False
        self._reached_at = self._clock()

    def missed(self) -> None:
        """Note that the database has not answered."""
        self._failed = True

    @property
    def _is_out(self) -> bool:
        return self._failed or (self._reached_at is not None and self._clock() > self._reached_at + LONGEST_GAP)
