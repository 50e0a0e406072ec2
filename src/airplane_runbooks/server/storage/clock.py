"""The time by which things are due, expire and are forgotten.

Servers that share a database go by its clock, so that it does not matter what their own say. They look at it with each
new connection and count on from there by a clock that nobody sets, so that a jump of their own does not matter either.
"""

from __future__ import annotations

import time

_CLOSE_ENOUGH = 0.1  # seconds: what asking takes may be as much, and clocks that are kept in time differ by less

_ahead: float | None = None  # of the monotonic clock, in seconds


def seconds() -> float:
    """Return the seconds since 1970."""
    own = time.time()
    if _ahead is None:
        return own
    shared = time.monotonic() + _ahead
    return own if abs(shared - own) < _CLOSE_ENOUGH else shared


def follow(shared: float, asked: float) -> None:
    """Go by a database's clock, which showed `shared` after it was asked at `asked`, by the monotonic clock."""
    global _ahead  # noqa: PLW0603 - one process, one time
    _ahead = shared - (asked + time.monotonic()) / 2


def forget() -> None:
    """Go by this machine's own clock again."""
    global _ahead  # noqa: PLW0603 - see above
    _ahead = None
