"""The clock by which records are due, expire and are dropped.

Servers that share a database use its clock, so their own clocks do not matter. They read it with each
new connection and count on from there by their monotonic clock, so jumps of their own clock do not matter either.
"""

from __future__ import annotations

import time

_CLOSE_ENOUGH = 0.1  # seconds: a query may take as long, and synchronised clocks differ by less
_JUMP = 1.0  # seconds by which a database's clock must have been set to be read anew

_ahead: float | None = None  # of the monotonic clock, in seconds


def seconds() -> float:
    """Return the seconds since 1970."""
    own = time.time()
    if _ahead is None:
        return own
    shared = time.monotonic() + _ahead
    return own if abs(shared - own) < _CLOSE_ENOUGH else shared


def follow(shared: float, asked: float) -> None:
    """Use a database's clock, which showed `shared` when it was queried at `asked` of the monotonic clock."""
    global _ahead  # noqa: PLW0603 - one process, one time
    _ahead = shared - (asked + time.monotonic()) / 2


def correct(shared: float, asked: float) -> None:
    """Follow a database's clock, as `follow` does, if it was set since it was read last."""
    answered = time.monotonic()
    if abs(shared - (asked + answered) / 2 + answered - seconds()) > _JUMP + (answered - asked) / 2:
        follow(shared, asked)


def forget() -> None:
    """Use this machine's own clock again."""
    global _ahead  # noqa: PLW0603 - see above
    _ahead = None
