"""Tries again. tenacity supplies the strategies; the loop is ours, and costs nothing until an attempt has failed."""

from __future__ import annotations

import functools
import logging
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..errors import DeadlineExceeded, TransportError
from ..http import Request, Response
from ..log import logger
from ..pipeline import Next
from ..policy import RetryBudget, RetryPolicy
from ..replies import is_transient, retry_after, status_error
from ..telemetry import type_name
from .idempotency import KEY_LIFETIME

if TYPE_CHECKING:
    from tenacity import RetryCallState

Outcome = Response | TransportError


class GiveUp(Enum):
    """Why no further attempt is made. The value completes a sentence."""

    PERMANENT = "the failure is not one that a repetition can cure"
    UNSAFE = "a repetition could do the work twice"
    RETRY_AFTER = "the server asks for a longer wait than the policy allows"
    ATTEMPTS = "the policy allows no further attempt"
    DEADLINE = "no further attempt fits into the time for the call"
    BUDGET = "the client's retry budget is used up"


class Retry:
    """Repeat a request while its policy, its deadline and the client's budget allow it."""

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
            except TransportError as failure:
                outcome = failure
            else:
                if outcome.is_success:
                    if self._budget is not None:
                        self._budget.refund()
                    return outcome
            state = self._advance(state, request, outcome)
            verdict = self._judge(state, request, outcome)
            if isinstance(verdict, GiveUp):
                return _conclude(verdict, outcome)
            _log_retry(request, outcome, verdict)
            state.idle_for += verdict
            await self._clock.sleep(verdict)
            request = request.next_attempt()

    def _advance(self, state: RetryCallState | None, request: Request, outcome: Outcome) -> RetryCallState:
        """Tell tenacity's state of the outcome, in our clock's time. This is where tenacity is first touched."""
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
        call.maybe_sent = call.maybe_sent or maybe_sent(outcome)
        return state

    def _judge(self, state: RetryCallState, request: Request, outcome: Outcome) -> float | GiveUp:
        verdict = next_delay(state, request, outcome, now=self._clock.now(), wall=self._clock.wall())
        if not isinstance(verdict, GiveUp) and self._budget is not None and not self._budget.take():
            return GiveUp.BUDGET
        return verdict


def next_delay(state: RetryCallState, request: Request, outcome: Outcome, *, now: float, wall: float) -> float | GiveUp:
    """Decide what follows a failed attempt: seconds to wait before the next one, or why there is none.

    Pure but for the jitter: `now` is monotonic time, `wall` time since the epoch. The order of the rules is tenacity's:
    predicate, wait, stop (some stops look at the upcoming wait).
    """
    call = request.call
    if call.deadline is not None and now >= call.deadline and isinstance(outcome, TransportError):
        return GiveUp.DEADLINE
    _, wait, stop = strategies(call.retry)
    if not is_retryable(state, outcome, call.retry):
        return GiveUp.PERMANENT
    asked = retry_after(outcome.headers, wall) if isinstance(outcome, Response) else None
    if asked is not None and asked > call.retry.max_retry_after:
        return GiveUp.RETRY_AFTER
    delay = max(float(wait(state)), asked or 0.0)
    if not is_resend_safe(request, outcome, now + delay):
        return GiveUp.UNSAFE
    state.upcoming_sleep = delay
    if stop(state):
        return GiveUp.ATTEMPTS
    if call.deadline is not None and now + delay >= call.deadline:
        return GiveUp.DEADLINE
    return delay


def is_retryable(state: RetryCallState, outcome: Outcome, policy: RetryPolicy) -> bool:
    """Whether the failure is worth another attempt: by the user's predicate if there is one."""
    if policy.retry is not None:
        return policy.retry(state)
    if isinstance(outcome, TransportError):
        return outcome.transient
    return is_transient(outcome.status, outcome.headers)


def is_resend_safe(request: Request, outcome: Outcome, at: float) -> bool:
    """Whether sending the request again at time `at` cannot do its work twice."""
    if request.method == "GET" or not maybe_sent(outcome):
        return True
    call = request.call
    return call.idempotency_key is not None and at - call.started < KEY_LIFETIME


def maybe_sent(outcome: Outcome) -> bool:
    """Whether the server may have acted on the request: unless it was refused or surely never left."""
    return outcome.status >= 500 if isinstance(outcome, Response) else outcome.sent is not False


def new_state(policy: RetryPolicy, started: float) -> RetryCallState:
    """Return tenacity's state for one call. Its `Retrying` is never shared: it is not safe to."""
    import tenacity

    retry, wait, stop = strategies(policy)
    retrying = tenacity.Retrying(stop=stop, wait=wait, **({} if retry is None else {"retry": retry}))
    state = tenacity.RetryCallState(retrying, None, (), {})
    state.start_time = started
    return state


def preload() -> None:
    """Import what is otherwise imported at the first failure: reading files there would block an event loop."""
    import_module("tenacity")
    import_module("email.utils")


@functools.lru_cache(maxsize=64)
def strategies(policy: RetryPolicy) -> tuple[Any, Any, Any]:
    """Return the policy's predicate (None for ours), wait and stop strategies."""
    import tenacity

    wait = policy.wait or tenacity.wait_random_exponential(multiplier=policy.initial_delay, max=policy.max_delay)
    return policy.retry, wait, policy.stop or tenacity.stop_after_attempt(policy.max_attempts)


def _conclude(verdict: GiveUp, outcome: Outcome) -> Response:
    """End the call: hand the last response on, or raise."""
    if verdict is GiveUp.DEADLINE:
        failure = status_error(outcome) if isinstance(outcome, Response) else outcome
        raise DeadlineExceeded(
            f"{verdict.value}; the last attempt ended with: {failure}",
            retry_after=getattr(failure, "retry_after", None),
        ) from failure
    if isinstance(outcome, TransportError):
        if verdict is not GiveUp.PERMANENT:
            outcome.add_note(f"Given up because {verdict.value}.")
        raise outcome
    return outcome


def _log_retry(request: Request, outcome: Outcome, delay: float) -> None:
    """Say that there will be another attempt: not a warning, for nothing has failed yet."""
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
