"""Decisions of a wait, without I/O: when to poll again and in which way, and whether a failure may pass."""

from __future__ import annotations

import math

from .._responses.reading import is_transient
from ..errors import AirplaneError, APIError, ConfigurationError, DeadlineExceeded, TransportError
from ..policy import PollPolicy
from .long_polls import LONGEST_WAIT

# Bounds in seconds on a server's Retry-After. The shorter one also separates the last polls before a deadline.
SHORTEST_DELAY = 0.05
LONGEST_RETRY_AFTER = 3600.0

# Long polls that a wait loses, each after an ordinary poll that succeeded, before it makes ordinary ones only.
_MOST_LOST = 3

# Quick replies in a row after which a server that reports one change after the other is asked at intervals.
_MOST_QUICK = 10


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
        delay = max(min(retry_after, LONGEST_RETRY_AFTER) * (1 + draw / 10), SHORTEST_DELAY)
    if left is None or delay < left:
        return delay
    last = left - min(policy.initial_delay, left / 4)
    return last if retry_after is None and last >= min(SHORTEST_DELAY, policy.initial_delay / 2) else None


class Pace:
    """Pace of one wait: whether the next poll is a long one, and how soon it follows.

    A server that applies the wait is asked again at once, as long as it does wait or something has changed. Any other
    server, and one that has failed, is polled by the policy.
    """

    def __init__(self, policy: PollPolicy, *, reports_progress: bool) -> None:
        self._policy = policy
        self._longest = min(LONGEST_WAIT, policy.max_delay) if reports_progress else LONGEST_WAIT
        self._unchanged = 0  # polls since the last change
        self._quick = 0  # long polls in a row that were answered sooner than the policy polls
        self._lost = 0  # long polls in a row that failed, with ordinary polls between them that succeeded
        self._has_failed = False  # since the last poll that succeeded
        self._has_waited = False  # whether the server has ever applied a wait
        self._may_follow_at_once = False

    @property
    def longest_wait(self) -> float:
        """Seconds that the next poll may ask the server to wait; 0 for an ordinary poll.

        The poll after a failure is an ordinary one: a proxy may cut long requests off.
        """
        return 0 if self._has_failed or self._lost >= _MOST_LOST else self._longest

    def note_reply(self, *, applied: int | None, took: float, changed: bool) -> None:
        """Note a poll that was answered.

        Args:
            applied: Seconds for which the server says that it has waited at most; None after an ordinary poll.
            took: Seconds until the reply.
            changed: Whether the reply, or the work that followed it, has brought anything new.
        """
        self._unchanged = 0 if changed else self._unchanged + 1
        if applied is None:
            self._may_follow_at_once = self._has_failed and self._has_waited and 0 < self._lost < _MOST_LOST
        else:
            self._has_waited, self._lost = True, 0
            self._quick = self._quick + 1 if took < self._policy.initial_delay else 0
            # A server may say that it waits, and not do so.
            self._may_follow_at_once = self._quick <= _MOST_QUICK if changed else took >= max(applied, 1) / 2
        self._has_failed = False

    def note_failure(self, *, of_long_poll: bool) -> None:
        """Note a poll that failed, or work after it that has to be done again."""
        self._unchanged += 1
        self._lost += of_long_poll
        self._has_failed = True
        self._may_follow_at_once = False

    def delay(self, *, retry_after: float | None, left: float | None, draw: float) -> float | None:
        """Return the seconds to wait before the next poll; None if there is none before the deadline.

        The arguments are those of `next_poll`.
        """
        if self._may_follow_at_once and retry_after is None and (left is None or left > 0):
            return 0.0
        return next_poll(self._policy, self._unchanged, retry_after=retry_after, left=left, draw=draw)


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
        f"wait_timeout must be a positive, finite number of seconds, or None to wait for ever: {timeout!r}"
    )
