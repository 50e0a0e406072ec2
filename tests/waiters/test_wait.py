"""Waiting for sessions, runs and prompts, with either client, on fake time."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from airplane_runbooks import (
    NO_RETRY,
    AirplaneError,
    CallOptions,
    ClientClosed,
    ConfigurationError,
    ConnectionLost,
    DeadlineExceeded,
    NotFound,
    PollPolicy,
    Response,
    RunFailed,
    ServerError,
    SessionCancelled,
    SessionFailed,
    WaitTimeout,
)
from airplane_runbooks.models import Run, Session
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either, Model

Make = Callable[..., Either]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    def build(answers: Any, **options: Any) -> Either:
        return Either(
            request.param, answers if isinstance(answers, FakeTransport) else FakeTransport(answers), **options
        )

    return build


def session(status: str, **headers: str) -> Response:
    return json_response(
        {"id": "ses1", "status": status}, headers={key.replace("_", "-"): headers[key] for key in headers}
    )


def run(status: str) -> Response:
    return json_response({"id": "run1", "status": status})


BUSY = json_response({"error": "busy"}, status=503)


class TestSessions:
    def test_a_wait_for_an_ended_session_ends_at_once(self, make: Make) -> None:
        either = make([session("Succeeded")])
        assert either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60)).status == "Succeeded"
        assert either.clock.sleeps == []

    def test_a_session_is_polled_at_growing_intervals(self, make: Make) -> None:
        either = make([session("Active")] * 20 + [session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=600))
        bounds = [min(10.0, 0.1 * 1.5**quiet) for quiet in range(20)]
        assert len(either.clock.sleeps) == 20
        for slept, bound in zip(either.clock.sleeps, bounds, strict=True):
            assert bound / 2 <= slept <= bound

    def test_a_change_shortens_the_intervals_again(self, make: Make) -> None:
        either = make([session("Pending")] * 9 + [session("Active"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=600))
        assert either.clock.sleeps[8] > 1
        assert either.clock.sleeps[9] <= 0.1

    @pytest.mark.parametrize("status", ["Pending", "Active", "Waiting", "Cancelling", "Hibernating"])
    def test_a_session_goes_on_in_all_but_three_states(self, make: Make, status: str) -> None:
        either = make([session(status), session("Succeeded")])
        assert either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60)).status == "Succeeded"

    @pytest.mark.parametrize("status", ["Failed", "Cancelled"])
    def test_a_failed_session_raises_and_is_carried_by_the_error(self, make: Make, status: str) -> None:
        either = make([session("Active"), session(status)])
        with pytest.raises(SessionFailed, match=f"(?i){status}") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert isinstance(caught.value, SessionCancelled) == (status == "Cancelled")
        assert caught.value.session.status == status
        assert (caught.value.operation, caught.value.attempts, caught.value.session_id) == ("sessions.wait", 2, "ses1")
        assert not caught.value.maybe_processed
        assert pickle.loads(pickle.dumps(caught.value)).session == caught.value.session
        assert copy.copy(caught.value).session_id == "ses1"

    def test_a_failed_session_is_returned_on_demand(self, make: Make) -> None:
        either = make([session("Failed")])
        failed = either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, raise_on_failure=False))
        assert failed.status == "Failed"

    def test_a_missing_session_is_an_error_at_once(self, make: Make) -> None:
        either = make([json_response({"error": "no such session"}, status=404)])
        with pytest.raises(NotFound) as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert (caught.value.operation, caught.value.session_id) == ("sessions.get", "ses1")


class TestTheDeadline:
    def test_the_limit_of_a_wait_is_told_in_milliseconds(self, make: Make) -> None:
        either = make(lambda _: session("Waiting"))
        with pytest.raises(WaitTimeout, match=r"has not ended within 0\.95 s"):
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=0.9496944870072184))

    def test_a_wait_timeout_carries_the_session_seen_last(self, make: Make) -> None:
        either = make(lambda _: session("Waiting"))
        with pytest.raises(WaitTimeout, match=r"session ses1 has not ended within 60 s, last seen Waiting") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.last == Session(id="ses1", status=caught.value.last.status)
        assert caught.value.session_id == "ses1"
        assert 59.9 < sum(either.clock.sleeps) <= 60

    def test_a_close_deadline_is_waited_for(self, make: Make) -> None:
        either = make(lambda _: session("Active"))
        with pytest.raises(WaitTimeout):
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=0.3))
        assert len(either.transport.requests) >= 3
        assert 0.23 < sum(either.clock.sleeps) <= 0.3

    def test_the_deadline_bounds_each_poll(self, make: Make) -> None:
        either = make([session("Active"), session("Succeeded")])
        either(
            lambda airplane: airplane.sessions.wait("ses1", wait_timeout=5, options=CallOptions(attempt_timeout=None))
        )
        assert either.transport.timeouts[0] == 5
        assert either.transport.timeouts[1] == pytest.approx(5 - either.clock.sleeps[0])

    def test_the_deadline_does_not_lengthen_a_poll(self, make: Make) -> None:
        either = make([session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=600, options=CallOptions(timeout=7)))
        assert either.transport.timeouts == [7]

    def test_a_wait_without_a_deadline_is_possible_explicitly(self, make: Make) -> None:
        either = make([session("Active")] * 500 + [session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=None))
        assert sum(either.clock.sleeps) > 2000
        either = make([session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=None, options=CallOptions(timeout=None)))

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "60"])
    def test_a_wait_timeout_must_be_a_finite_positive_number(self, make: Make, timeout: Any) -> None:
        either = make([])
        for wait in ("sessions", "runs", "prompts"):
            with pytest.raises(ConfigurationError, match="timeout"):
                either(lambda airplane, wait=wait: getattr(airplane, wait).wait("id1", wait_timeout=timeout))
        with pytest.raises(ConfigurationError, match="timeout"):
            either(lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=timeout))
        assert either.transport.requests == []

    def test_a_deadline_within_the_first_poll_leaves_nothing_seen(self, make: Make) -> None:
        def slow(_: object) -> Response:
            either.clock.advance(9)
            return BUSY

        either = make(slow)
        with pytest.raises(WaitTimeout, match=r"never seen; the last poll failed: .*503") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=8))
        assert caught.value.last is None
        assert isinstance(caught.value.__cause__, (DeadlineExceeded, ServerError))


class TestRetryAfter:
    def test_retry_after_of_a_success_precedes_the_schedule(self, make: Make) -> None:
        either = make([session("Active", retry_after="7"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert 7 <= either.clock.sleeps[0] <= 7.7

    def test_retry_after_of_a_failure_precedes_the_schedule(self, make: Make) -> None:
        limited = json_response({"error": "slow down"}, status=429, headers={"Retry-After": "4"})
        either = make([limited, session("Succeeded")], retry=NO_RETRY)
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert 4 <= either.clock.sleeps[0] <= 4.4

    def test_retry_after_of_zero_does_not_make_a_busy_loop(self, make: Make) -> None:
        either = make([session("Active", retry_after="0")] * 3 + [session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert min(either.clock.sleeps) >= 0.05

    def test_retry_after_of_years_is_not_waited_for(self, make: Make) -> None:
        either = make([session("Active", retry_after="99999999"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=None))
        assert either.clock.sleeps[0] <= 3600 * 1.1

    def test_retry_after_beyond_the_deadline_ends_the_wait(self, make: Make) -> None:
        either = make([session("Active", retry_after="100")])
        with pytest.raises(WaitTimeout):
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert either.clock.sleeps == []


class TestFailures:
    @pytest.mark.parametrize("failure", [BUSY, ConnectionLost("reset"), json_response({}, status=429)])
    def test_temporary_failures_are_survived(self, make: Make, failure: Any) -> None:
        either = make([session("Active"), failure, failure, failure, session("Succeeded")], retry=NO_RETRY)
        assert either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60)).status == "Succeeded"

    @pytest.mark.parametrize(
        "failure",
        [
            json_response({}, status=401),
            json_response({}, status=501),
            json_response({}, status=500, headers={"X-Airplane-Retryable": "false"}),
            ConnectionLost("bad certificate", transient=False),
            Response(status=200, headers=BUSY.headers, body=b"no JSON"),
            ClientClosed("closed"),
        ],
    )
    def test_lasting_failures_end_the_wait(self, make: Make, failure: Any) -> None:
        either = make([session("Active"), failure])
        with pytest.raises(AirplaneError) as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert not isinstance(caught.value, (WaitTimeout, AssertionError))
        assert caught.value.session_id == "ses1"

    def test_failures_until_the_deadline_are_the_cause_of_the_error(self, make: Make) -> None:
        answers = iter([session("Active")])
        either = make(lambda _: next(answers, BUSY), retry=NO_RETRY)
        with pytest.raises(WaitTimeout, match="last seen Active") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert isinstance(caught.value.__cause__, ServerError)

    def test_failures_of_a_poll_are_retried_as_in_any_call(self, make: Make) -> None:
        either = make([BUSY, session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        assert [request.attempt for request in either.transport.requests] == [1, 2]


class TestProgress:
    def test_progress_is_told_at_each_poll_with_session_and_time(self, make: Make) -> None:
        told: list[tuple[Session, float]] = []
        either = make([session("Pending"), BUSY, session("Active"), session("Succeeded")], retry=NO_RETRY)
        either(
            lambda airplane: airplane.sessions.wait(
                "ses1", wait_timeout=60, on_progress=lambda *seen: told.append(seen)
            )
        )
        assert [seen.status for seen, _ in told] == ["Pending", "Active", "Succeeded"]
        assert told[0][1] == 0
        assert told[-1][1] == pytest.approx(sum(either.clock.sleeps))

    def test_on_progress_may_be_a_coroutine_function(self, make: Make) -> None:
        told: list[str] = []

        async def tell(seen: Run, elapsed: float) -> None:
            told.append(seen.status)

        either = make([run("Active"), run("Succeeded")])
        either(lambda airplane: airplane.runs.wait("run1", wait_timeout=60, on_progress=tell))
        assert told == ["Active", "Succeeded"]

    def test_an_error_of_on_progress_ends_the_wait(self, make: Make) -> None:
        def fail(seen: Session, elapsed: float) -> None:
            raise ConnectionLost("of another call")

        either = make([session("Active")])
        with pytest.raises(ConnectionLost, match="of another call"):
            either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_progress=fail))


class TestRuns:
    def test_runs_are_waited_for_like_sessions(self, make: Make) -> None:
        either = make([run("NotStarted"), run("Queued"), run("Active"), run("Succeeded")])
        assert either(lambda airplane: airplane.runs.wait("run1", wait_timeout=60)).status == "Succeeded"

    @pytest.mark.parametrize("status", ["Failed", "Cancelled"])
    def test_a_failed_run_raises_unless_told_otherwise(self, make: Make, status: str) -> None:
        either = make([run(status)] * 2)
        with pytest.raises(RunFailed, match=f"run run1 has ended: {status}") as caught:
            either(lambda airplane: airplane.runs.wait("run1", wait_timeout=60))
        assert caught.value.run.status == status
        assert (
            either(lambda airplane: airplane.runs.wait("run1", wait_timeout=60, raise_on_failure=False)).status
            == status
        )

    def test_a_run_that_goes_on_is_a_timeout(self, make: Make) -> None:
        either = make(lambda _: run("Active"))
        with pytest.raises(WaitTimeout, match="run run1 has not ended within 2 s, last seen Active"):
            either(lambda airplane: airplane.runs.wait("run1", wait_timeout=2))


class TestPrompts:
    @pytest.mark.parametrize("end", ["submittedAt", "cancelledAt"])
    def test_a_prompt_is_waited_for_until_it_is_closed(self, make: Make, end: str) -> None:
        either = make(
            [json_response({"prompt": {"id": "pmt1", **more}}) for more in ({}, {end: "2026-01-01T00:00:00Z"})]
        )
        assert not either(lambda airplane: airplane.prompts.wait("pmt1", wait_timeout=60)).is_open

    def test_a_prompt_that_stays_open_is_a_timeout(self, make: Make) -> None:
        either = make(lambda _: json_response({"prompt": {"id": "pmt1"}}))
        with pytest.raises(WaitTimeout, match="prompt pmt1 has not ended within 2 s, last seen open"):
            either(lambda airplane: airplane.prompts.wait("pmt1", wait_timeout=2))


class TestExecuteAndWait:
    def test_execute_and_wait_returns_the_ended_session(self, make: Make) -> None:
        either = make([json_response({"sessionID": "ses1"}), session("Active"), session("Succeeded")])
        ended = either(
            lambda airplane: airplane.runbooks.execute_and_wait(
                "x",
                param_values={"limit": 2},
                env_slug="prod",
                wait_timeout=60,
                options=CallOptions(idempotency_key="mine"),
            )
        )
        assert ended.status == "Succeeded"
        first, *looks = either.transport.requests
        assert first.target == "/v0/runbooks/execute?envSlug=prod"
        assert first.headers["idempotency-key"] == "mine"
        assert [look.target for look in looks] == ["/v0/sessions/get?id=ses1"] * 2
        assert "idempotency-key" not in looks[0].headers

    def test_errors_of_execute_and_wait_name_session_and_key(self, make: Make) -> None:
        either = make([json_response({"sessionID": "ses1"}), json_response({}, status=403)])
        with pytest.raises(Exception, match="403") as caught:
            either(lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=60))
        assert caught.value.session_id == "ses1"
        assert caught.value.idempotency_key == either.transport.requests[0].headers["idempotency-key"]
        assert caught.value.maybe_processed

    def test_execute_and_wait_raises_as_execute_does(self, make: Make) -> None:
        either = make([json_response({}, status=404)])
        with pytest.raises(NotFound) as caught:
            either(lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=60))
        assert (caught.value.operation, caught.value.session_id) == ("runbooks.execute", None)
        assert not caught.value.maybe_processed

    def test_execute_and_wait_counts_the_start_as_part_of_the_time(self, make: Make) -> None:
        def slow(request: Any) -> Response:
            if "execute" in request.target:
                either.clock.advance(50)
                return json_response({"sessionID": "ses1"})
            return session("Active")

        either = make(slow)
        with pytest.raises(WaitTimeout) as caught:
            either(lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=60))
        assert sum(either.clock.sleeps) <= 10
        assert caught.value.operation == "runbooks.execute_and_wait"

    def test_execute_and_wait_answers_prompts_too(self, make: Make) -> None:
        model = Model()
        model.add_run("run1")
        model.add_prompt("pmt1", "run1")

        def end_after_the_answer(path: str) -> None:
            if path == "/prompts/submit":
                model.sessions["ses1"]["status"] = "Succeeded"

        model.each = end_after_the_answer
        either = make(model.transport)
        ended = either(
            lambda airplane: airplane.runbooks.execute_and_wait(
                "x", wait_timeout=60, on_prompt=lambda *_: {}, options=CallOptions(idempotency_key="mine")
            )
        )
        assert ended.status == "Succeeded"
        keys = [one.headers["idempotency-key"] for one in either.transport.requests if one.method == "POST"]
        assert keys[0] == "mine"
        assert "mine" not in keys[1:]


@pytest.mark.parametrize(
    "given",
    [
        {"initial_delay": 0},
        {"initial_delay": -1},
        {"initial_delay": 20},
        {"max_delay": float("inf")},
        {"growth": 0.5},
        {"growth": 11},
        {"growth": float("nan")},
    ],
)
def test_a_policy_that_cannot_work_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"initial_delay|growth"):
        PollPolicy(**given)


def test_a_policy_of_ones_own_is_kept_to(make: Make) -> None:
    either = make([session("Active")] * 5 + [session("Succeeded")])
    steady = PollPolicy(initial_delay=2, max_delay=2)
    either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, poll=steady))
    assert all(1 <= slept <= 2 for slept in either.clock.sleeps)


@pytest.fixture(autouse=True)
def _no_real_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this is fake time: code that sleeps for real is found out."""

    def sleep(*_: object) -> None:
        raise AssertionError("slept for real")

    monkeypatch.setattr("time.sleep", sleep)
