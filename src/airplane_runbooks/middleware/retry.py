"""Retries. tenacity supplies the strategies; the loop is ours, and costs nothing until an attempt has failed."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from .._responses.reading import is_transient, is_unchanged, retry_after, status_error
from ..clock import Clock
from ..errors import APIError, ConfigurationError, DeadlineExceeded, TransportError
from ..http import CallState, Request, Response
from ..policy import RetryBudget, RetryPolicy
from ..telemetry.guard import type_name
from ..telemetry.log import logger
from .idempotency import KEY_LIFETIME
from .interface import Next
from .wrong_results import wrong_result

if TYPE_CHECKING:
    from tenacity import RetryCallState
else:
    RetryCallState = Any  # keeps `get_type_hints` working; tenacity is loaded once an attempt has failed

Outcome = Response | TransportError
T = TypeVar("T")

_LONGEST_DELAY = 315_360_000.0  # ten years: longer delays overflow the timers of some systems


class GiveUp(Enum):
    """Reasons to make no further attempt. The value completes a sentence."""

    PERMANENT = "another attempt would fail in the same way"
    UNSAFE = "a repetition could do the work twice"
    RETRY_AFTER = "the server asks for a longer wait than the policy allows"
    ATTEMPTS = "the policy allows no further attempt"
    DEADLINE = "no further attempt fits into the time for the call"
    BUDGET = "the client's retry budget is used up"


class Retry:
    """Repeats a request while its policy, its deadline and the client's budget allow it."""

    def __init__(self, budget: RetryBudget | None, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Send the request; return the last response, or raise the last failure or DeadlineExceeded."""
        state: RetryCallState | None = None
        while True:
            outcome: Outcome
            try:
                outcome = await call_next(request)
                if outcome.is_success or is_unchanged(request, outcome):
                    if self._budget is not None:
                        self._budget.refund()
                    return outcome
            except TransportError as failure:
                outcome = failure
            except (AttributeError, TypeError) as problem:
                if (error := wrong_result(problem, call_next, attempts=request.call.attempts)) is None:
                    raise
                raise error from None
            state = self._advance(state, request, outcome)
            verdict = self._judge(state, request, outcome)
            if isinstance(verdict, GiveUp):
                return _conclude(verdict, outcome, request.call)
            _log_retry(request, outcome, verdict)
            state.idle_for += verdict
            await self._clock.sleep(verdict)
            request = request.next_attempt()

    def _advance(self, state: RetryCallState | None, request: Request, outcome: Outcome) -> RetryCallState:
        """Return tenacity's state with this outcome, in our clock's time. tenacity is first loaded here."""
        if state is None:
            state = new_state(request.call.retry, request.call.started)
        else:
            state.prepare_for_next_attempt()
        if isinstance(outcome, Response):
            state.set_result(outcome)
        else:
            state.set_exception((type(outcome), outcome, None))
        state.outcome_timestamp = self._clock.now()
        call = request.call
        call.maybe_sent = call.maybe_sent or maybe_sent(request, outcome)
        call.waits += is_in_progress(request, outcome)
        return state

    def _judge(self, state: RetryCallState, request: Request, outcome: Outcome) -> float | GiveUp:
        try:
            verdict = next_delay(state, request, outcome, now=self._clock.now(), wall=self._clock.wall())
        except _BrokenStrategy as problem:
            raise ConfigurationError(str(problem)) from _failure(outcome)
        if (
            isinstance(verdict, GiveUp)
            or self._budget is None
            or is_in_progress(request, outcome)
            or self._budget.take()
        ):
            return verdict
        return GiveUp.BUDGET


def next_delay(state: RetryCallState, request: Request, outcome: Outcome, *, now: float, wall: float) -> float | GiveUp:
    """Return the seconds to wait before the next attempt, or the reason to make none.

    Pure except for the jitter: `now` is monotonic time, `wall` time since the epoch. The rules have tenacity's order:
    predicate, wait, stop (some stops look at the upcoming wait).
    """
    call = request.call
    if call.deadline is not None and now >= call.deadline and isinstance(outcome, TransportError):
        return GiveUp.DEADLINE
    if not is_retryable(state, outcome, call.retry):
        return GiveUp.PERMANENT
    asked = retry_after(outcome.headers, wall) if isinstance(outcome, Response) else None
    if asked is not None and asked > call.retry.max_retry_after:
        return GiveUp.RETRY_AFTER
    in_progress = is_in_progress(request, outcome)
    delay = _asked("wait", state.retry_object.wait, state, _seconds)
    # The server knows best how long the work in progress may take: it is asked again when it says.
    delay = asked if in_progress and asked else min(max(delay, asked or 0.0), _LONGEST_DELAY)
    if not is_resend_safe(request, outcome, now + delay):
        return GiveUp.UNSAFE
    state.upcoming_sleep = delay
    if _stops(state, call, in_progress=in_progress):
        return GiveUp.ATTEMPTS
    if call.deadline is not None and now + delay >= call.deadline:
        return GiveUp.DEADLINE
    return delay


def is_retryable(state: RetryCallState, outcome: Outcome, policy: RetryPolicy) -> bool:
    """Tell whether the failure is worth another attempt: by the user's predicate if there is one."""
    if policy.retry is not None:
        return _asked("retry", policy.retry, state, bool)
    if isinstance(outcome, TransportError):
        return outcome.transient
    return is_transient(outcome.status, outcome.headers)


def is_in_progress(request: Request, outcome: Outcome) -> bool:
    """Tell whether the server is still working on this request, which it got from an earlier attempt."""
    if not isinstance(outcome, Response) or outcome.status != 409 or request.method == "GET":
        return False
    return outcome.headers.get("x-airplane-retryable", "").lower() == "true"


def _stops(state: RetryCallState, call: CallState, *, in_progress: bool) -> bool:
    policy = call.retry
    if policy.stop is not None:
        return _asked("stop", policy.stop, state, bool)
    if in_progress:
        return policy.max_attempts == 1
    return state.attempt_number - call.waits >= policy.max_attempts


class _BrokenStrategy(Exception):
    pass


def _asked(name: str, strategy: Callable[[RetryCallState], Any], state: RetryCallState, read: Callable[[Any], T]) -> T:
    """Call one of the user's strategies. Raises _BrokenStrategy if it raises, or if `read` refuses its result."""
    try:
        return read(strategy(state))
    except Exception as problem:
        raise _BrokenStrategy(f"the retry policy's `{name}` failed: {describe(problem)}") from problem


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("a wait must be a finite number of seconds, zero or more")
    return value


def describe(problem: BaseException) -> str:
    """Return the class and the message of an exception whose `__str__` may raise."""
    try:
        return f"{type_name(problem)}: {problem}"
    except Exception:  # noqa: BLE001  # user code
        return type_name(problem)


def is_resend_safe(request: Request, outcome: Outcome, at: float) -> bool:
    """Tell whether the request can be sent again at time `at` without doing its work twice."""
    if request.method == "GET" or not maybe_sent(request, outcome):
        return True
    call = request.call
    return call.idempotency_key is not None and at - call.started < KEY_LIFETIME


def maybe_sent(request: Request, outcome: Outcome) -> bool:
    """Tell whether the server may have acted on the request. False if it was refused, or surely not sent."""
    if isinstance(outcome, Response):
        return outcome.status >= 500 or is_in_progress(request, outcome)
    return outcome.sent is not False


def new_state(policy: RetryPolicy, started: float) -> RetryCallState:
    """Return tenacity's state for one call. Its `Retrying` is never shared, for that is not safe."""
    import tenacity

    wait = tenacity.wait_random_exponential(multiplier=policy.initial_delay, max=policy.max_delay)
    chosen: dict[str, Any] = {name: getattr(policy, name) for name in ("stop", "wait", "retry")}
    strategies: dict[str, Any] = {"wait": wait} | {name: one for name, one in chosen.items() if one is not None}
    state = tenacity.RetryCallState(tenacity.Retrying(**strategies), None, (), {})
    state.start_time = started
    return state


def preload() -> None:
    """Import the modules that are otherwise imported at the first failure: that would block an event loop."""
    import_module("tenacity")
    import_module("email.utils")


def _conclude(verdict: GiveUp, outcome: Outcome, call: CallState) -> Response:
    """Return the last response, or raise the last failure."""
    if verdict is GiveUp.DEADLINE:
        failure = _failure(outcome)
        raise DeadlineExceeded(
            f"{verdict.value}; the last attempt ended with: {failure}",
            retry_after=getattr(failure, "retry_after", None),
        ) from failure
    if isinstance(outcome, TransportError):
        if verdict is not GiveUp.PERMANENT:
            outcome.add_note(f"Given up because {verdict.value}.")
        raise outcome
    if verdict is not GiveUp.PERMANENT:
        call.given_up = verdict.value
    return outcome


def _failure(outcome: Outcome) -> APIError | TransportError:
    return status_error(outcome) if isinstance(outcome, Response) else outcome


def _log_retry(request: Request, outcome: Outcome, delay: float) -> None:
    """Log that another attempt follows. It is not a warning, since the call has not failed."""
    if logger.isEnabledFor(logging.INFO):
        if isinstance(outcome, Response):
            what = error_type = str(outcome.status)
        else:
            what, error_type = type(outcome).__name__, type_name(outcome)
        extra = {"operation": request.operation, "attempt": request.attempt, "delay": delay, "error_type": error_type}
        logger.info(
            "%s: attempt %d ended with %s, next in %.3f s",
            request.operation,
            request.attempt,
            what,
            delay,
            extra=extra,
        )
