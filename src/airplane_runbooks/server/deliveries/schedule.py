"""The times of further attempts, and their end: a pure decision."""

from __future__ import annotations

from collections.abc import Callable

MOST_ATTEMPTS = 10
FIRST_DELAY = 5.0  # seconds
GROWTH = 4.0
LONGEST_DELAY = 8 * 3600.0  # so that all attempts take about a day
LONGEST_RETRY_AFTER = 24 * 3600.0
_SPREAD = 0.2


def delay_after(attempts: int, retry_after: float | None, draw: Callable[[float, float], float]) -> float | None:
    """Return the seconds until the next attempt after so many have failed; None if there is to be none.

    The delays grow, and vary by a fifth, as `draw` draws between two bounds. A receiver's `Retry-After` is a floor.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    delay = min(FIRST_DELAY * GROWTH ** (attempts - 1), LONGEST_DELAY) * draw(1 - _SPREAD, 1 + _SPREAD)
    return max(delay, min(retry_after or 0.0, LONGEST_RETRY_AFTER))
