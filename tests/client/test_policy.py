"""Retry policies and budgets, as arithmetic."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import NO_RETRY, RetryBudget, RetryPolicy, policy


@pytest.mark.parametrize("attempts", [0, -1])
def test_a_policy_allows_one_attempt_at_least(attempts):
    with pytest.raises(ValueError, match=f"max_attempts must be at least 1, not {attempts}"):
        RetryPolicy(max_attempts=attempts)


@pytest.mark.parametrize("name", ["initial_delay", "max_delay", "max_retry_after"])
@pytest.mark.parametrize("seconds", [-0.1, -math.inf, math.nan])
def test_a_policy_takes_no_delay_that_cannot_be_waited(name, seconds):
    with pytest.raises(ValueError, match=f"{name} must be zero or more seconds, not {seconds}"):
        RetryPolicy(**{name: seconds})


@pytest.mark.parametrize("name", ["initial_delay", "max_delay", "max_retry_after"])
@pytest.mark.parametrize("seconds", [0, 0.5, math.inf])
def test_a_policy_takes_any_other_delay(name, seconds):
    assert getattr(RetryPolicy(**{name: seconds}), name) == seconds


@pytest.mark.parametrize("name", ["stop", "wait", "retry"])
def test_a_strategy_that_cannot_be_called_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a tenacity strategy or another callable, not 3"):
        RetryPolicy(**{name: 3})


def test_policies_compare_and_hash_by_content():
    assert RetryPolicy() == RetryPolicy()
    assert hash(RetryPolicy(max_attempts=2)) == hash(RetryPolicy(max_attempts=2))
    assert NO_RETRY == RetryPolicy(max_attempts=1) != RetryPolicy()
    with pytest.raises(AttributeError, match="immutable"):
        NO_RETRY.max_attempts = 2


@pytest.mark.parametrize(
    ("capacity", "cost"), [(1, 2), (1, 0), (1, -1), (0, 0), (math.nan, 1), (1, math.nan), (-1, -2)]
)
def test_a_budget_must_hold_one_retry_at_least(capacity, cost):
    with pytest.raises(ValueError, match="a budget needs capacity >= cost > 0"):
        RetryBudget(capacity, cost)


def test_a_full_budget_pays_for_a_hundred_retries():
    budget = RetryBudget()

    assert [budget.take() for _ in range(101)] == [True] * 100 + [False]
    assert budget.tokens == 0


def test_five_successes_pay_for_one_retry():
    budget = RetryBudget(capacity=5)
    assert budget.take()

    for _ in range(4):
        budget.refund()
        assert not budget.take()
    budget.refund()

    assert budget.take()


def test_a_budget_shows_its_state():
    assert repr(RetryBudget(10, 2)) == "RetryBudget(capacity=10, cost=2, tokens=10)"


@given(st.floats(0.5, 50), st.floats(0.1, 1), st.lists(st.booleans(), max_size=200))
def test_a_budget_is_never_overdrawn_and_never_overflows(capacity, share, steps):
    cost = capacity * share
    budget = RetryBudget(capacity, cost)
    for is_retry in steps:
        before = budget.tokens
        if is_retry:
            assert budget.take() is (before >= cost)
            assert budget.tokens == (before - cost if before >= cost else before)
        else:
            budget.refund()
            assert budget.tokens == min(capacity, before + 1)
        assert 0 <= budget.tokens <= capacity


@pytest.fixture
def hasty_switching():
    """Let threads interrupt one another as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_switching")
def test_threads_together_neither_lose_tokens_nor_invent_them():
    budget = RetryBudget(capacity=1000, cost=1)
    start, rounds, threads = threading.Barrier(8), 2000, 8
    seen: list[float] = []

    def work() -> int:
        start.wait(timeout=60)
        taken = 0
        for number in range(rounds):
            taken += budget.take()
            seen.append(budget.tokens)
            if number % 4 == 0:
                budget.refund()
        return taken

    with ThreadPoolExecutor(threads) as pool:
        taken = sum(future.result() for future in [pool.submit(work) for _ in range(threads)])

    given_back = threads * rounds // 4
    assert min(seen) >= 0
    assert max(seen) <= 1000
    # No refund meets a full bucket: every thread has paid for a retry, or found the bucket empty, before it gives back.
    assert budget.tokens == 1000 + given_back - taken


def test_a_full_bucket_takes_no_lock():
    budget = RetryBudget(capacity=5)
    with policy._LOCK:
        budget.refund()

    assert budget.tokens == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_is_forked_during_a_retry_has_its_budget():
    """A fork in the middle of another thread's `take` would copy a lock that no thread of the child releases."""
    budget = RetryBudget()
    taken, stopping = threading.Event(), threading.Event()

    def retry() -> None:
        with policy._LOCK:
            taken.set()
            stopping.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(retry)
        taken.wait(60)
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)  # ends a child that hangs
            os._exit(0 if budget.take() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert budget.tokens == 500
