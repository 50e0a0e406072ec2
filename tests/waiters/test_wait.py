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
    def test_end_at_once_if_they_have_ended(self, make: Make) -> None:
        either = make([session("Succeeded")])
        assert either(lambda airplane: airplane.sessions.wait("ses1", timeout=60)).status == "Succeeded"
        assert either.clock.sleeps == []

    def test_are_looked_at_until_they_end_at_growing_intervals(self, make: Make) -> None:
        either = make([session("Active")] * 20 + [session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=600))
        bounds = [min(10.0, 0.1 * 1.5**quiet) for quiet in range(20)]
        assert len(either.clock.sleeps) == 20
        for slept, bound in zip(either.clock.sleeps, bounds, strict=True):
            assert bound / 2 <= slept <= bound

    def test_are_looked_at_more_often_again_after_a_change(self, make: Make) -> None:
        either = make([session("Pending")] * 9 + [session("Active"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=600))
        assert either.clock.sleeps[8] > 1
        assert either.clock.sleeps[9] <= 0.1

    @pytest.mark.parametrize("status", ["Pending", "Active", "Waiting", "Cancelling", "Hibernating"])
    def test_run_on_in_any_state_but_the_three_last_ones(self, make: Make, status: str) -> None:
        either = make([session(status), session("Succeeded")])
        assert either(lambda airplane: airplane.sessions.wait("ses1", timeout=60)).status == "Succeeded"

    @pytest.mark.parametrize("status", ["Failed", "Cancelled"])
    def test_that_fail_raise_and_carry_the_session(self, make: Make, status: str) -> None:
        either = make([session("Active"), session(status)])
        with pytest.raises(SessionFailed, match=status) as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert caught.value.session.status == status
        assert (caught.value.operation, caught.value.attempts, caught.value.session_id) == ("sessions.wait", 2, "ses1")
        assert not caught.value.maybe_processed
        assert pickle.loads(pickle.dumps(caught.value)).session == caught.value.session
        assert copy.copy(caught.value).session_id == "ses1"

    def test_that_fail_are_returned_if_that_is_wanted(self, make: Make) -> None:
        either = make([session("Failed")])
        failed = either(lambda airplane: airplane.sessions.wait("ses1", timeout=60, raise_on_failure=False))
        assert failed.status == "Failed"

    def test_that_are_not_there_are_an_error_at_once(self, make: Make) -> None:
        either = make([json_response({"error": "no such session"}, status=404)])
        with pytest.raises(NotFound) as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert (caught.value.operation, caught.value.session_id) == ("sessions.get", "ses1")


class TestTheDeadline:
    def test_ends_the_wait_with_what_was_seen_last(self, make: Make) -> None:
        either = make(lambda _: session("Waiting"))
        with pytest.raises(WaitTimeout, match=r"session ses1 has not ended within 60 s, last seen Waiting") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.last == Session(id="ses1", status=caught.value.last.status)
        assert caught.value.session_id == "ses1"
        assert 59.9 < sum(either.clock.sleeps) <= 60

    def test_is_waited_for_even_if_it_is_close(self, make: Make) -> None:
        either = make(lambda _: session("Active"))
        with pytest.raises(WaitTimeout):
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=0.3))
        assert len(either.transport.requests) >= 3
        assert 0.23 < sum(either.clock.sleeps) <= 0.3

    def test_bounds_each_look_too(self, make: Make) -> None:
        either = make([session("Active"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=5, options=CallOptions(attempt_timeout=None)))
        assert either.transport.timeouts[0] == 5
        assert either.transport.timeouts[1] == pytest.approx(5 - either.clock.sleeps[0])

    def test_does_not_lengthen_a_look(self, make: Make) -> None:
        either = make([session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=600, options=CallOptions(timeout=7)))
        assert either.transport.timeouts == [7]

    def test_can_be_waived_in_so_many_words(self, make: Make) -> None:
        either = make([session("Active")] * 500 + [session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=None))
        assert sum(either.clock.sleeps) > 2000
        either = make([session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=None, options=CallOptions(timeout=None)))

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "60"])
    def test_must_be_a_time_that_comes(self, make: Make, timeout: Any) -> None:
        either = make([])
        for wait in ("sessions", "runs", "prompts"):
            with pytest.raises(ConfigurationError, match="timeout"):
                either(lambda airplane, wait=wait: getattr(airplane, wait).wait("id1", timeout=timeout))
        with pytest.raises(ConfigurationError, match="timeout"):
            either(lambda airplane: airplane.runbooks.execute_and_wait(slug="x", timeout=timeout))
        assert either.transport.requests == []

    def test_that_passes_during_the_first_look_leaves_nothing_seen(self, make: Make) -> None:
        def slow(_: object) -> Response:
            either.clock.advance(9)
            return BUSY

        either = make(slow)
        with pytest.raises(WaitTimeout, match="never seen") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=8))
        assert caught.value.last is None
        assert isinstance(caught.value.__cause__, (DeadlineExceeded, ServerError))


class TestRetryAfter:
    def test_of_a_success_goes_before_the_schedule(self, make: Make) -> None:
        either = make([session("Active", retry_after="7"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert 7 <= either.clock.sleeps[0] <= 7.7

    def test_of_a_failure_does_too(self, make: Make) -> None:
        limited = json_response({"error": "slow down"}, status=429, headers={"Retry-After": "4"})
        either = make([limited, session("Succeeded")], retry=NO_RETRY)
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert 4 <= either.clock.sleeps[0] <= 4.4

    def test_of_nothing_does_not_make_a_busy_loop(self, make: Make) -> None:
        either = make([session("Active", retry_after="0")] * 3 + [session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert min(either.clock.sleeps) >= 0.05

    def test_of_years_is_not_waited_for(self, make: Make) -> None:
        either = make([session("Active", retry_after="99999999"), session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=None))
        assert either.clock.sleeps[0] <= 3600 * 1.1

    def test_beyond_the_deadline_ends_the_wait_at_once(self, make: Make) -> None:
        either = make([session("Active", retry_after="100")])
        with pytest.raises(WaitTimeout):
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert either.clock.sleeps == []


class TestFailures:
    @pytest.mark.parametrize("failure", [BUSY, ConnectionLost("reset"), json_response({}, status=429)])
    def test_that_may_pass_are_survived(self, make: Make, failure: Any) -> None:
        either = make([session("Active"), failure, failure, failure, session("Succeeded")], retry=NO_RETRY)
        assert either(lambda airplane: airplane.sessions.wait("ses1", timeout=60)).status == "Succeeded"

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
    def test_that_will_not_pass_end_the_wait(self, make: Make, failure: Any) -> None:
        either = make([session("Active"), failure])
        with pytest.raises(AirplaneError) as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert not isinstance(caught.value, (WaitTimeout, AssertionError))
        assert caught.value.session_id == "ses1"

    def test_are_named_as_the_cause_if_they_lasted_until_the_deadline(self, make: Make) -> None:
        answers = iter([session("Active")])
        either = make(lambda _: next(answers, BUSY), retry=NO_RETRY)
        with pytest.raises(WaitTimeout, match="last seen Active") as caught:
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert isinstance(caught.value.__cause__, ServerError)

    def test_within_a_look_are_tried_again_as_in_any_call(self, make: Make) -> None:
        either = make([BUSY, session("Succeeded")])
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
        assert [request.attempt for request in either.transport.requests] == [1, 2]


class TestProgress:
    def test_is_told_at_each_look_with_the_fresh_session_and_the_time(self, make: Make) -> None:
        told: list[tuple[Session, float]] = []
        either = make([session("Pending"), BUSY, session("Active"), session("Succeeded")], retry=NO_RETRY)
        either(lambda airplane: airplane.sessions.wait("ses1", timeout=60, on_progress=lambda *seen: told.append(seen)))
        assert [seen.status for seen, _ in told] == ["Pending", "Active", "Succeeded"]
        assert told[0][1] == 0
        assert told[-1][1] == pytest.approx(sum(either.clock.sleeps))

    def test_may_be_a_coroutine_function(self, make: Make) -> None:
        told: list[str] = []

        async def tell(seen: Run, elapsed: float) -> None:
            told.append(seen.status)

        either = make([run("Active"), run("Succeeded")])
        either(lambda airplane: airplane.runs.wait("run1", timeout=60, on_progress=tell))
        assert told == ["Active", "Succeeded"]

    def test_that_raises_ends_the_wait_even_with_an_error_that_may_pass(self, make: Make) -> None:
        def fail(seen: Session, elapsed: float) -> None:
            raise ConnectionLost("of another call")

        either = make([session("Active")])
        with pytest.raises(ConnectionLost, match="of another call"):
            either(lambda airplane: airplane.sessions.wait("ses1", timeout=60, on_progress=fail))


class TestRuns:
    def test_are_waited_for_likewise(self, make: Make) -> None:
        either = make([run("NotStarted"), run("Queued"), run("Active"), run("Succeeded")])
        assert either(lambda airplane: airplane.runs.wait("run1", timeout=60)).status == "Succeeded"

    @pytest.mark.parametrize("status", ["Failed", "Cancelled"])
    def test_that_fail_raise_unless_told_otherwise(self, make: Make, status: str) -> None:
        either = make([run(status)] * 2)
        with pytest.raises(RunFailed, match=f"run run1 has ended: {status}") as caught:
            either(lambda airplane: airplane.runs.wait("run1", timeout=60))
        assert caught.value.run.status == status
        assert either(lambda airplane: airplane.runs.wait("run1", timeout=60, raise_on_failure=False)).status == status

    def test_that_go_on_are_a_timeout(self, make: Make) -> None:
        either = make(lambda _: run("Active"))
        with pytest.raises(WaitTimeout, match="run run1 has not ended within 2 s, last seen Active"):
            either(lambda airplane: airplane.runs.wait("run1", timeout=2))


class TestPrompts:
    @pytest.mark.parametrize("end", ["submittedAt", "cancelledAt"])
    def test_are_waited_for_until_they_are_answered_or_cancelled(self, make: Make, end: str) -> None:
        either = make(
            [json_response({"prompt": {"id": "pmt1", **more}}) for more in ({}, {end: "2026-01-01T00:00:00Z"})]
        )
        assert not either(lambda airplane: airplane.prompts.wait("pmt1", timeout=60)).is_open

    def test_that_stay_open_are_a_timeout(self, make: Make) -> None:
        either = make(lambda _: json_response({"prompt": {"id": "pmt1"}}))
        with pytest.raises(WaitTimeout, match="prompt pmt1 has not ended within 2 s, last seen open"):
            either(lambda airplane: airplane.prompts.wait("pmt1", timeout=2))


class TestExecuteAndWait:
    def test_starts_a_session_and_returns_its_end(self, make: Make) -> None:
        either = make([json_response({"sessionID": "ses1"}), session("Active"), session("Succeeded")])
        ended = either(
            lambda airplane: airplane.runbooks.execute_and_wait(
                slug="x",
                param_values={"limit": 2},
                env_slug="prod",
                timeout=60,
                options=CallOptions(idempotency_key="mine"),
            )
        )
        assert ended.status == "Succeeded"
        first, *looks = either.transport.requests
        assert first.target == "/v0/runbooks/execute?envSlug=prod"
        assert first.headers["idempotency-key"] == "mine"
        assert [look.target for look in looks] == ["/v0/sessions/get?id=ses1"] * 2
        assert "idempotency-key" not in looks[0].headers

    def test_tells_of_the_session_and_the_key_whatever_happens_then(self, make: Make) -> None:
        either = make([json_response({"sessionID": "ses1"}), json_response({}, status=403)])
        with pytest.raises(Exception, match="403") as caught:
            either(lambda airplane: airplane.runbooks.execute_and_wait(slug="x", timeout=60))
        assert caught.value.session_id == "ses1"
        assert caught.value.idempotency_key == either.transport.requests[0].headers["idempotency-key"]
        assert caught.value.maybe_processed

    def test_that_cannot_start_raises_as_execute_does(self, make: Make) -> None:
        either = make([json_response({}, status=404)])
        with pytest.raises(NotFound) as caught:
            either(lambda airplane: airplane.runbooks.execute_and_wait(slug="x", timeout=60))
        assert (caught.value.operation, caught.value.session_id) == ("runbooks.execute", None)
        assert not caught.value.maybe_processed

    def test_counts_the_start_as_part_of_the_time(self, make: Make) -> None:
        def slow(request: Any) -> Response:
            if "execute" in request.target:
                either.clock.advance(50)
                return json_response({"sessionID": "ses1"})
            return session("Active")

        either = make(slow)
        with pytest.raises(WaitTimeout) as caught:
            either(lambda airplane: airplane.runbooks.execute_and_wait(slug="x", timeout=60))
        assert sum(either.clock.sleeps) <= 10
        assert caught.value.operation == "runbooks.execute_and_wait"

    def test_answers_prompts_too(self, make: Make) -> None:
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
                slug="x", timeout=60, on_prompt=lambda *_: {}, options=CallOptions(idempotency_key="mine")
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
    either(lambda airplane: airplane.sessions.wait("ses1", timeout=60, poll=steady))
    assert all(1 <= slept <= 2 for slept in either.clock.sleeps)


@pytest.fixture(autouse=True)
def _no_real_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this is fake time: code that sleeps for real is found out."""

    def sleep(*_: object) -> None:
        raise AssertionError("slept for real")

    monkeypatch.setattr("time.sleep", sleep)
