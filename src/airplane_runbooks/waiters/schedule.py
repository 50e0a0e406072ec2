"""Decisions of a wait, without I/O: when to poll again, and whether a failure may pass."""

from __future__ import annotations

import math

from .._responses.reading import is_transient
from ..errors import AirplaneError, APIError, ConfigurationError, DeadlineExceeded, TransportError
from ..policy import PollPolicy

# Bounds in seconds for every policy and server: the shortest delay, and the longest that a server can ask for.
SHORTEST_DELAY = 0.05
LONGEST_RETRY_AFTER = 3600.0


def next_poll(
    policy: PollPolicy, unchanged: int, *, retry_after: float | None, left: float | None, draw: float
) -> float | None:
    """Return the seconds to wait before the next poll; None if there is none before the deadline.

    If the next poll would come after the deadline, a last one is made shortly before it, unless the server asked for a
    longer wait.

    Args:
        policy: How often to poll.
        unchanged: Number of polls since the last change.
        retry_after: Seconds from the server's Retry-After; None without one.
        left: Seconds until the deadline; None without one.
        draw: Random number from 0 to 1, which keeps waiters from polling at the same time.
    """
    if retry_after is None:
        bound = min(policy.max_delay, policy.initial_delay * policy.growth ** min(unchanged, 100))
        delay = bound * (1 + draw) / 2
    else:
        delay = min(retry_after, LONGEST_RETRY_AFTER) * (1 + draw / 10)
    delay = max(delay, SHORTEST_DELAY)
    if left is None or delay < left:
        return delay
    last = left - min(policy.initial_delay, left / 4)
    return last if retry_after is None and last >= SHORTEST_DELAY else None


def may_pass(error: AirplaneError) -> bool:
    """Tell whether a later poll may succeed where this one failed."""
    if isinstance(error, TransportError):
        return error.transient
    if isinstance(error, APIError):
        return is_transient(error.status, error.headers)
    return isinstance(error, DeadlineExceeded)


def checked_timeout(timeout: float | None) -> float | None:
    """Return the seconds to wait. Raises ConfigurationError unless they are positive and finite, or None."""
    if timeout is None or (isinstance(timeout, int | float) and 0 < timeout < math.inf):
        return timeout
    raise ConfigurationError(
        f"timeout must be a positive, finite number of seconds, or None to wait for ever: {timeout!r}"
    )
