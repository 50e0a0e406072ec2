"""Policies for retries and polling, and the retry budget of a client: data that the user chooses."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from tenacity import RetryCallState
else:
    RetryCallState = Any  # keeps `get_type_hints` working; tenacity is loaded once an attempt has failed

Stop: TypeAlias = Callable[[RetryCallState], bool]
Wait: TypeAlias = Callable[[RetryCallState], float]
Predicate: TypeAlias = Callable[[RetryCallState], bool]


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for retries: which failures to repeat, how often, and after what wait.

    Any tenacity strategy plugs into `stop`, `wait` and `retry`. They run only after a failed attempt, and see the
    response as the state's result, or the TransportError as its exception. A request that is not
    safe to repeat is not repeated, and no wait goes past the deadline of the call. One that raises, or returns no wait
    of zero or more seconds, ends the call with a ConfigurationError whose cause is the failure of the last attempt.

    Attributes:
        max_attempts: Attempts in all, the first one included. Ignored if `stop` is given. Unless it is 1, attempts
            that the server answers with a 409 and `X-Airplane-Retryable: true` do not count: it is still working on
            the same request, and the client waits for that until the deadline.
        initial_delay: Upper bound of the first wait, in seconds; it doubles with every attempt, and the wait is drawn
            evenly between zero and the bound. Ignored if `wait` is given.
        max_delay: Greatest bound, in seconds. Ignored if `wait` is given.
        max_retry_after: Longest `Retry-After` to wait for, in seconds; a longer one ends the call.
        stop: Strategy that ends the attempts, such as `stop_after_delay(20) | stop_after_attempt(5)`.
        wait: Strategy for the seconds to wait, such as `wait_fixed(1)`. A server's `Retry-After` is a floor under it.
        retry: Predicate that replaces the built-in choice of failures worth a retry.
    """

    max_attempts: int = 8
    initial_delay: float = 0.1
    max_delay: float = 10.0
    max_retry_after: float = 120.0
    stop: Stop | None = None
    wait: Wait | None = None
    retry: Predicate | None = None

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {self.max_attempts}")
        for name in ("initial_delay", "max_delay", "max_retry_after"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be zero or more seconds, not {getattr(self, name)}")
        for name in ("stop", "wait", "retry"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ValueError(f"{name} must be a tenacity strategy or another callable, not {getattr(self, name)!r}")


NO_RETRY = RetryPolicy(max_attempts=1)


class PollPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Intervals at which a wait polls a server that does not answer when something has changed, or that fails.

    The time between two polls is drawn evenly between half a bound and the bound. The bound grows with every poll that
    brings nothing new, and is reset by one that does. A server's `Retry-After` takes precedence, within 0.05 seconds
    and an hour.

    Attributes:
        initial_delay: The bound after a change, in seconds.
        max_delay: Greatest bound, in seconds.
        growth: Factor by which the bound grows.
    """

    initial_delay: float = 0.1
    max_delay: float = 10.0
    growth: float = 1.5

    def __post_init__(self) -> None:
        if not 0 < self.initial_delay <= self.max_delay < math.inf:
            given = f"initial_delay={self.initial_delay}, max_delay={self.max_delay}"
            raise ValueError(f"a poll policy needs 0 < initial_delay <= max_delay, both finite, not {given}")
        if not 1 <= self.growth <= 10:
            raise ValueError(f"growth must be 1 to 10, not {self.growth}")


# One for all budgets, which need it for an instant after a failure. A fork waits for it: a child whose parent had it
# taken in another thread would never get it. Systems without fork have nothing to register with.
_LOCK = threading.Lock()
getattr(os, "register_at_fork", dict)(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class RetryBudget:
    """A token bucket that ends a retry storm: while too many calls fail, they fail at the first attempt.

    A retry takes `cost` tokens, a success gives one back. With the defaults a client may retry one call in five for
    ever, and a burst of a hundred on top. Safe to share between threads and clients. A forked child has a copy.
    """

    def __init__(self, capacity: float = 500.0, cost: float = 5.0) -> None:
        if not (capacity >= cost > 0):
            raise ValueError(f"a budget needs capacity >= cost > 0, not capacity={capacity}, cost={cost}")
        self.capacity = capacity
        self.cost = cost
        self._tokens = capacity

    @property
    def tokens(self) -> float:
        """Tokens left."""
        return self._tokens

    def take(self) -> bool:
        """Pay for a retry. Return False if the bucket does not hold enough."""
        with _LOCK:
            if self._tokens < self.cost:
                return False
            self._tokens -= self.cost
            return True

    def refund(self) -> None:
        """Give one token back after a success. While the bucket is full this takes no lock."""
        if self._tokens < self.capacity:
            with _LOCK:
                self._tokens = min(self.capacity, self._tokens + 1)

    def __repr__(self) -> str:
        return f"RetryBudget(capacity={self.capacity}, cost={self.cost}, tokens={self._tokens})"
