"""Repeated calls and the waits between them, on a fake clock."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import pytest
import tenacity

from airplane_runbooks import (
    NO_RETRY,
    Airplane,
    AirplaneError,
    AttemptTimeout,
    CallOptions,
    ConfigurationError,
    Conflict,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    InvalidResponse,
    NotFound,
    RateLimited,
    RetryBudget,
    RetryPolicy,
    ServerError,
    TransportError,
)
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response

STARTED = {"sessionID": "ses1"}
OK = json_response(STARTED)
UNAVAILABLE = json_response({"error": "try later"}, status=503)


def client(transport: FakeTransport, clock: FakeClock | None = None, **options: Any) -> Airplane:
    clock = FakeClock() if clock is None else clock
    return Airplane("tkn_test", base_url="http://localhost/v0", transport=transport, clock=clock, **options)


def execute(*script: Any, **options: Any) -> tuple[FakeTransport, FakeClock, AirplaneError | None]:
    """Execute a runbook against a script of responses and failures; return what happened."""
    transport, clock = FakeTransport(list(script)), FakeClock()
    try:
        client(transport, clock, **options).runbooks.execute("x")
    except AirplaneError as error:
        return transport, clock, error
    return transport, clock, None


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_these_statuses_are_tried_again(status: int) -> None:
    transport, _, error = execute(json_response({}, status=status), OK)
    assert error is None
    assert len(transport.requests) == 2


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 418, 423, 501])
def test_these_statuses_are_final(status: int) -> None:
    transport, clock, error = execute(json_response({"error": "no", "code": "c"}, status=status))
    assert error is not None
    assert len(transport.requests) == 1
    assert clock.sleeps == []
    assert error.attempts == 1
    assert not error.maybe_processed or status == 501


@pytest.mark.parametrize("failure", [ConnectError("refused"), ConnectionLost("reset"), AttemptTimeout("slow")])
def test_these_failures_are_tried_again(failure: TransportError) -> None:
    transport, _, error = execute(failure, failure, OK)
    assert error is None
    assert len(transport.requests) == 3


@pytest.mark.parametrize("failure", [InvalidResponse("garbage"), ConnectError("untrusted", transient=False)])
def test_these_failures_are_final(failure: TransportError) -> None:
    _, _, error = execute(failure)
    assert error is failure


def test_the_servers_word_goes_before_the_status_both_ways() -> None:
    again = json_response({}, status=409, headers={"X-Airplane-Retryable": "true"})
    never = json_response({}, status=503, headers={"X-Airplane-Retryable": "False"})
    transport, _, error = execute(again, never)
    assert isinstance(error, ServerError)
    assert len(transport.requests) == 2


def test_all_attempts_carry_one_key() -> None:
    transport, _, _ = execute(UNAVAILABLE, ConnectionLost("reset"), OK)
    assert len({request.headers["idempotency-key"] for request in transport.requests}) == 1
    assert [request.attempt for request in transport.requests] == [1, 2, 3]


def test_keys_are_random_uuids_of_version_4() -> None:
    keys = set()
    for _ in range(100):
        transport, _, _ = execute(OK)
        key = transport.requests[0].headers["idempotency-key"]
        assert key[14] == "4"
        assert key[19] in "89ab"
        keys.add(key)
    assert len(keys) == 100


def test_the_error_of_the_last_attempt_tells_of_all_of_them() -> None:
    transport, _, error = execute(UNAVAILABLE, UNAVAILABLE, retry=RetryPolicy(max_attempts=2))
    assert isinstance(error, ServerError)
    assert str(error) == "503: try later"
    assert error.attempts == 2
    assert error.operation == "runbooks.execute"
    assert error.idempotency_key == transport.requests[0].headers["idempotency-key"]
    assert error.maybe_processed


def test_the_error_of_a_status_says_why_it_was_not_repeated() -> None:
    wait = json_response({"error": "slow down"}, status=429, headers={"Retry-After": "3600"})
    _, _, error = execute(wait)
    assert isinstance(error, RateLimited)
    assert error.__notes__ == ["Given up because the server asks for a longer wait than the policy allows."]
    _, _, error = execute(json_response({"error": "no"}, status=400))
    assert not hasattr(error, "__notes__")


def test_an_earlier_attempt_that_may_have_arrived_is_known() -> None:
    _, _, error = execute(ConnectionLost("reset"), ConnectError("refused"), retry=RetryPolicy(max_attempts=2))
    assert isinstance(error, ConnectError)
    assert error.sent is False
    assert error.maybe_processed
    assert error.__notes__ == ["Given up because the policy allows no further attempt."]


def test_what_was_never_sent_was_not_processed() -> None:
    _, _, error = execute(ConnectError("refused"), retry=NO_RETRY)
    assert error is not None
    assert not error.maybe_processed


def test_waits_grow_with_full_jitter_up_to_a_bound() -> None:
    longest = [0.0] * 7
    for _ in range(200):
        _, clock, _ = execute(*[UNAVAILABLE] * 7, OK, retry=RetryPolicy(initial_delay=0.1, max_delay=1.0))
        longest = [max(pair) for pair in zip(longest, clock.sleeps, strict=True)]
    bounds = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert all(seen <= bound for seen, bound in zip(longest, bounds, strict=True))
    assert all(seen > 0.8 * bound for seen, bound in zip(longest, bounds, strict=True))


class TestRetryAfter:
    def test_retry_after_is_a_floor_under_the_wait(self) -> None:
        slow = json_response({}, status=429, headers={"Retry-After": "7"})
        _, clock, error = execute(slow, OK)
        assert error is None
        assert clock.sleeps == [7.0]

    def test_retry_after_does_not_shorten_the_wait_of_the_policy(self) -> None:
        quick = json_response({}, status=503, headers={"Retry-After": "1"})
        _, clock, _ = execute(quick, OK, retry=RetryPolicy(wait=tenacity.wait_fixed(3)))
        assert clock.sleeps == [3.0]

    def test_retry_after_may_be_a_date(self) -> None:
        transport, clock = FakeTransport([]), FakeClock()
        date = formatdate(clock.wall() + 9, usegmt=True)
        transport = FakeTransport([json_response({}, status=503, headers={"Retry-After": date}), OK])
        client(transport, clock).runbooks.execute("x")
        assert clock.sleeps == [pytest.approx(9, abs=1)]

    def test_retry_after_beyond_the_deadline_ends_the_call(self) -> None:
        slow = json_response({"error": "busy"}, status=503, headers={"Retry-After": "30"})
        _, clock, error = execute(slow, timeout=1.0)
        assert isinstance(error, DeadlineExceeded)
        assert isinstance(error, TimeoutError)
        assert clock.sleeps == []
        assert error.retry_after == 30
        assert isinstance(error.__cause__, ServerError)
        assert error.maybe_processed

    def test_retry_after_beyond_the_policy_ends_the_call(self) -> None:
        slow = json_response({}, status=429, headers={"Retry-After": "121"})
        _, clock, error = execute(slow, timeout=None)
        assert isinstance(error, RateLimited)
        assert error.retry_after == 121
        assert clock.sleeps == []


class TestDeadlines:
    def test_the_last_attempt_gets_the_time_that_is_left(self) -> None:
        clock = FakeClock()

        def handler(request: Any) -> Any:
            clock.advance(20)
            return AttemptTimeout("slow")

        transport = FakeTransport(handler)
        with pytest.raises(DeadlineExceeded) as caught:
            client(transport, clock, timeout=50, retry=RetryPolicy(wait=tenacity.wait_none())).runbooks.execute("x")
        assert transport.timeouts == [30, 30, 10]
        assert isinstance(caught.value.__cause__, AttemptTimeout)
        assert caught.value.attempts == 3

    def test_no_wait_goes_past_the_deadline(self) -> None:
        _, clock, error = execute(UNAVAILABLE, timeout=5, retry=RetryPolicy(wait=tenacity.wait_fixed(5)))
        assert isinstance(error, DeadlineExceeded)
        assert clock.sleeps == []

    def test_a_middleware_that_eats_the_time_leaves_none_for_sending(self) -> None:
        clock = FakeClock()

        async def dawdle(request: Any, call_next: Any) -> Any:
            clock.advance(100)
            return await call_next(request)

        transport = FakeTransport([])
        with pytest.raises(DeadlineExceeded) as caught:
            client(transport, clock, middleware=[dawdle]).runbooks.execute("x")
        assert transport.requests == []
        assert not caught.value.maybe_processed

    def test_a_timeout_of_none_means_no_limit(self) -> None:
        transport, _, _ = execute(OK, timeout=None, attempt_timeout=None)
        assert transport.timeouts == [None]

    def test_posts_are_not_repeated_after_the_hour_of_their_key(self) -> None:
        clock = FakeClock()

        def handler(request: Any) -> Any:
            clock.advance(3601)
            return ConnectionLost("reset")

        patient = {"timeout": None, "retry": RetryPolicy(max_attempts=3)}
        posts, gets = FakeTransport(handler), FakeTransport(handler)
        with pytest.raises(ConnectionLost) as caught:
            client(posts, clock, **patient).runbooks.execute("x")
        assert len(posts.requests) == 1
        assert "could do the work twice" in caught.value.__notes__[0]
        with pytest.raises(ConnectionLost):
            client(gets, clock, **patient).sessions.get("ses1")
        assert len(gets.requests) == 3


class TestBudget:
    def test_an_empty_budget_ends_the_retries_of_all_calls(self) -> None:
        transport = FakeTransport(lambda request: UNAVAILABLE)
        airplane = client(transport, retry_budget=RetryBudget(capacity=10, cost=5), retry=RetryPolicy(max_attempts=5))
        for _ in range(3):
            with pytest.raises(ServerError):
                airplane.runbooks.execute("x")
        assert len(transport.requests) == 3 + 2

    def test_the_budget_is_refilled_by_successes_of_all_clones(self) -> None:
        budget = RetryBudget(capacity=2, cost=2)
        transport = FakeTransport([UNAVAILABLE, OK, OK, UNAVAILABLE, OK])
        airplane = client(transport, retry_budget=budget)
        airplane.runbooks.execute("x")
        assert budget.tokens == 1
        airplane.with_options(timeout=9).runbooks.execute("x")
        assert budget.tokens == 2
        airplane.runbooks.execute("x")

    def test_the_budget_can_be_left_out(self) -> None:
        transport, _, error = execute(*[UNAVAILABLE] * 7, OK, retry_budget=None)
        assert error is None
        assert len(transport.requests) == 8

    def test_an_empty_budget_is_named_in_a_note(self) -> None:
        lost = ConnectionLost("reset")
        transport = FakeTransport([lost, lost])
        with pytest.raises(ConnectionLost) as caught:
            client(transport, retry_budget=RetryBudget(capacity=1, cost=1)).runbooks.execute("x")
        assert "retry budget is used up" in caught.value.__notes__[0]


class TestStrategiesOfTenacity:
    def test_any_stop_of_tenacity_plugs_in(self) -> None:
        stop = tenacity.stop_after_delay(10) | tenacity.stop_after_attempt(4)
        transport, _, error = execute(*[UNAVAILABLE] * 4, retry=RetryPolicy(stop=stop))
        assert isinstance(error, ServerError)
        assert len(transport.requests) == 4

    def test_a_stop_by_time_reads_the_clients_clock(self) -> None:
        policy = RetryPolicy(stop=tenacity.stop_before_delay(10), wait=tenacity.wait_fixed(4))
        transport, clock, _ = execute(*[UNAVAILABLE] * 3, retry=policy)
        assert clock.sleeps == [4, 4]
        assert len(transport.requests) == 3

    def test_any_predicate_of_tenacity_plugs_in(self) -> None:
        teapot = tenacity.retry_if_result(lambda response: response.status == 418)
        policy = RetryPolicy(retry=teapot | tenacity.retry_if_exception_type(InvalidResponse))
        transport, _, error = execute(
            json_response({}, status=418), InvalidResponse("garbage"), UNAVAILABLE, retry=policy
        )
        assert isinstance(error, ServerError)
        assert len(transport.requests) == 3

    def test_tenacity_does_not_run_on_success(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            pytest.fail("tenacity was used on the way of success")

        monkeypatch.setattr("airplane_runbooks.middleware.retry.new_state", fail)
        _, _, error = execute(OK)
        assert error is None


def in_progress(**headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return json_response({"error": "key in use"}, status=409, headers={"X-Airplane-Retryable": "true", **named})


class TestARequestThatIsStillBeingCarriedOut:
    def test_a_request_in_progress_is_waited_for(self) -> None:
        transport, clock, error = execute(ConnectionLost("reset"), *[in_progress(retry_after="2")] * 20, OK)
        assert error is None
        assert len(transport.requests) == 22
        assert len({request.headers["idempotency-key"] for request in transport.requests}) == 1
        assert clock.sleeps[1:] == [2] * 20

    def test_a_request_in_progress_is_waited_for_until_the_deadline(self) -> None:
        transport = FakeTransport(lambda _: in_progress())
        clock = FakeClock()
        with pytest.raises(DeadlineExceeded) as caught:
            client(transport, clock, timeout=60).runbooks.execute("x")
        assert sum(clock.sleeps) > 40
        assert len(transport.requests) < 60
        assert isinstance(caught.value.__cause__, Conflict)
        assert caught.value.maybe_processed

    def test_waiting_for_a_request_costs_neither_attempts_nor_budget(self) -> None:
        budget = RetryBudget(capacity=5, cost=5)
        script = [*[in_progress()] * 20, UNAVAILABLE, *[in_progress()] * 5, OK]
        transport, _, error = execute(
            *script, timeout=None, retry_budget=budget, retry=RetryPolicy(max_attempts=2, max_delay=1)
        )
        assert error is None
        assert len(transport.requests) == len(script)

    def test_waiting_for_a_request_leaves_the_other_attempts(self) -> None:
        script = [UNAVAILABLE, *[in_progress()] * 5, UNAVAILABLE, UNAVAILABLE]
        transport, _, error = execute(*script, retry=RetryPolicy(max_attempts=3, max_delay=1))
        assert isinstance(error, ServerError)
        assert len(transport.requests) == len(script)

    @pytest.mark.parametrize("retry", [NO_RETRY, RetryPolicy(stop=tenacity.stop_after_attempt(1))])
    def test_a_policy_of_one_attempt_does_not_wait_for_a_request(self, retry: RetryPolicy) -> None:
        transport, _, error = execute(in_progress(), retry=retry)
        assert isinstance(error, Conflict)
        assert error.maybe_processed
        assert len(transport.requests) == 1

    @pytest.mark.once
    def test_a_request_is_not_waited_for_beyond_the_hour_of_its_key(self) -> None:
        transport = FakeTransport(lambda _: in_progress())
        with pytest.raises(Conflict):
            client(transport, timeout=None).runbooks.execute("x")
        assert 360 < len(transport.requests) < 1000

    @pytest.mark.parametrize("headers", [{}, {"X-Airplane-Retryable": "false"}])
    def test_a_conflict_without_the_code_is_not_in_progress(self, headers: dict[str, str]) -> None:
        transport, _, error = execute(json_response({"error": "no"}, status=409, headers=headers))
        assert isinstance(error, Conflict)
        assert not error.maybe_processed
        assert len(transport.requests) == 1

    def test_reads_do_not_wait_for_requests_in_progress(self) -> None:
        transport = FakeTransport(lambda _: in_progress())
        with pytest.raises(Conflict):
            client(transport, timeout=None).sessions.get("ses1")
        assert len(transport.requests) == 8


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


def raising(problem: BaseException) -> Any:
    def strategy(_: object) -> Any:
        raise problem

    return strategy


def returning(value: object) -> Any:
    return lambda _: value


@pytest.mark.parametrize("failure", [UNAVAILABLE, ConnectionLost("reset")], ids=["response", "no response"])
@pytest.mark.parametrize(
    "strategies",
    [
        *[
            {name: raising(problem)}
            for name in ("stop", "wait", "retry")
            for problem in (RuntimeError("oops"), TransportError("oops"), StopIteration(), Mute(), KeyError("oops"))
        ],
        *[
            {"wait": returning(value)}
            for value in (None, "1", -1, float("nan"), float("inf"), -float("inf"), [], timedelta(1))
        ],
        *[
            {"wait": strategy(lambda failure: failure.no_such_attribute)}
            for strategy in [getattr(tenacity, "wait_exception", None)]  # since tenacity 9.1
            if strategy is not None
        ],
    ],
)
def test_a_strategy_that_fails_ends_the_call_with_our_error(strategies: Any, failure: Any) -> None:
    transport, _, error = execute(failure, OK, retry=RetryPolicy(**strategies))
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(f"the retry policy's `{next(iter(strategies))}` failed: ")
    assert isinstance(error.__cause__, ServerError | ConnectionLost)
    assert error.maybe_processed
    assert error.attempts == len(transport.requests) == 1


def test_an_interrupt_in_a_strategy_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(UNAVAILABLE, retry=RetryPolicy(wait=raising(KeyboardInterrupt())))


def test_a_wait_without_measure_is_bounded() -> None:
    _, clock, error = execute(UNAVAILABLE, OK, timeout=None, retry=RetryPolicy(wait=returning(1e308)))
    assert error is not None or clock.sleeps == [315_360_000]


class Unhashable:
    __hash__ = None  # type: ignore[assignment]  # as of a dataclass

    def __call__(self, state: object) -> float:
        return 0.5


def test_a_strategy_need_not_be_hashable() -> None:
    policy = RetryPolicy(wait=Unhashable())
    _, clock, error = execute(UNAVAILABLE, OK, retry=policy)
    assert error is None
    assert clock.sleeps == [0.5]
    transport = FakeTransport([UNAVAILABLE, OK])
    client(transport).runbooks.execute("x", options=CallOptions(retry=policy))
    assert len(transport.requests) == 2


def test_a_policy_of_one_call_goes_before_the_clients() -> None:
    transport = FakeTransport([UNAVAILABLE])
    with pytest.raises(ServerError):
        client(transport).runbooks.execute("x", options=CallOptions(retry=NO_RETRY))
    assert len(transport.requests) == 1


def test_a_retry_is_logged_once_with_what_matters_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="airplane_runbooks")
    execute(json_response({"error": "secret detail"}, status=503), OK, retry=RetryPolicy(wait=tenacity.wait_fixed(2)))
    (record,) = caplog.records
    assert record.getMessage() == "runbooks.execute: attempt 1 ended with 503, next in 2.000 s"
    assert vars(record) | {"operation": "runbooks.execute", "attempt": 1, "delay": 2.0, "error_type": "503"} == vars(
        record
    )


def test_a_log_of_failures_names_their_class(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="airplane_runbooks")
    execute(ConnectionLost("reset"), OK)
    assert "ended with ConnectionLost" in caplog.text


def test_an_exception_that_is_none_of_ours_goes_straight_through() -> None:
    transport = FakeTransport([OSError("of a foreign transport")])
    with pytest.raises(OSError, match="foreign"):
        client(transport).runbooks.execute("x")


def test_not_found_carries_what_the_server_said() -> None:
    _, _, error = execute(
        json_response({"error": "no runbook", "code": "missing"}, status=404, headers={"X-Request-ID": "req1"})
    )
    assert isinstance(error, NotFound)
    assert (error.message, error.code, error.request_id) == ("no runbook", "missing", "req1")
    assert str(error) == "404: no runbook [missing]"


def test_two_processes_do_not_share_keys() -> None:
    """Keys come from the system, so a forked child does not repeat its parent's."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        transport, _, _ = execute(OK)
        os.write(writer, transport.requests[0].headers["idempotency-key"].encode())
        os._exit(0)
    os.waitpid(pid, 0)
    transport, _, _ = execute(OK)
    assert os.read(reader, 100).decode() != transport.requests[0].headers["idempotency-key"]
    os.close(reader)
    os.close(writer)
