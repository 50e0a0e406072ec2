"""Waits on servers that apply `Prefer: wait`, ignore it, or lie about it, with either client on fake time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from airplane_runbooks import (
    NO_RETRY,
    APIError,
    CallOptions,
    ConnectionLost,
    NotFound,
    PollPolicy,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    WaitTimeout,
)
from airplane_runbooks.http import Headers
from airplane_runbooks.testing import FakeTransport, json_response, long_polled
from airplane_runbooks.transports import base
from airplane_runbooks.waiters.long_polls import LongPolls, seconds_to_wait
from tests.support.clients import Either, Model

Make = Callable[..., Either]
BUSY = json_response({"error": "busy"}, status=503)
WAIT = {"Preference-Applied": "wait=20", "ETag": '"1"'}
UNCHANGED = Response(status=304, headers=Headers(WAIT), body=b"")


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    def build(answers: Any, **options: Any) -> Either:
        return Either(request.param, FakeTransport(answers), **options)

    return build


@pytest.fixture
def timed(make: Make) -> Make:
    """Make clients of a server that applies the wait. Its session has each status for the seconds given."""

    def build(*statuses: tuple[str, float], **options: Any) -> Either:
        def answer(request: Request) -> Response:
            if request.method == "POST":
                return json_response({"sessionID": "ses1"})
            past = either.clock.now() - 1000
            for status, seconds in statuses:
                past -= seconds
                if past < 0:
                    return json_response({"id": "ses1", "status": status})
            return json_response({"id": "ses1", "status": "Succeeded"})

        either = applying(make, answer, **options)
        return either

    return build


def applying(make: Make, handler: Callable[[Request], Any], **options: Any) -> Either:
    """Return a client of a server that answers by the handler, and applies the wait."""
    answer: list[Callable[[Request], Any]] = []
    either = make(lambda request: answer[0](request), **options)  # noqa: PLW0108  # which has yet to come
    answer.append(long_polled(handler, either.clock))
    return either


def session(status: str, **headers: str) -> Response:
    return json_response({"id": "ses1", "status": status}, headers=headers)


def told(status: str, etag: str = "1", wait: str = "wait=20") -> Response:
    return session(status, **{"Preference-Applied": wait, "ETag": f'"{etag}"'})


def asked(either: Either) -> list[tuple[str | None, str | None]]:
    """Return the wait and the ETag of each request for a session."""
    gets = [request.headers for request in either.transport.requests if request.method == "GET"]
    return [(headers.get("prefer"), headers.get("if-none-match")) for headers in gets]


def wait(timeout: float | None = 60, **options: Any) -> Callable[[Any], Any]:
    return lambda airplane: airplane.sessions.wait("ses1", wait_timeout=timeout, **options)


class TestServersThatApplyTheWait:
    def test_a_session_of_one_step_takes_two_calls(self, timed: Make) -> None:
        either = timed(("Active", 7))
        ended = either(lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=60))
        assert ended.status == "Succeeded"
        assert [request.method for request in either.transport.requests] == ["POST", "GET"]
        assert either.clock.sleeps == []
        assert "prefer" not in either.transport.requests[0].headers

    def test_a_change_is_seen_when_it_happens(self, timed: Make) -> None:
        either = timed(("Active", 100))
        either(wait(600))
        assert 1100 <= either.clock.now() <= 1100.25
        assert either.clock.sleeps == []

    def test_further_polls_name_the_state_that_is_known(self, timed: Make) -> None:
        either = timed(("Waiting", 50))
        either(wait(600))
        (first, none), *others = asked(either)
        assert (first, none) == ("wait=20", None)
        assert len(others) == 3
        assert len({etag for _, etag in others}) == 1
        assert None not in {etag for _, etag in others}

    def test_a_wait_is_never_longer_than_the_time_left(self, timed: Make) -> None:
        either = timed(("Waiting", 1e9))
        with pytest.raises(WaitTimeout, match="last seen Waiting"):
            either(wait(45))
        assert [prefer for prefer, _ in asked(either)][:4] == ["wait=20", "wait=20", "wait=20", "wait=4"]
        assert asked(either)[-1][0] is None
        assert 1044 <= either.clock.now() <= 1045

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (CallOptions(attempt_timeout=12), "wait=7"),
            (CallOptions(timeout=9.5), "wait=4"),
            (CallOptions(attempt_timeout=5.5), None),
            (CallOptions(attempt_timeout=None, timeout=None), "wait=20"),
        ],
    )
    def test_a_wait_fits_into_the_timeouts(self, timed: Make, options: CallOptions, expected: str | None) -> None:
        either = timed(("Active", 3))
        either(wait(600, options=options))
        assert asked(either)[0][0] == expected

    @pytest.mark.once
    def test_a_wait_for_ever_makes_long_polls(self, timed: Make) -> None:
        either = timed(("Active", 100_000))
        either(wait(None))
        assert len(either.transport.requests) <= 5001

    @pytest.mark.parametrize("kind", ["runs", "prompts"])
    def test_runs_and_prompts_are_told_too(self, make: Make, kind: str) -> None:
        model = Model()
        model.add_run("id1")
        model.add_prompt("id1", "id1")

        def end_after(request: Request) -> Response:
            if either.clock.now() >= 1030:
                model.runs[0]["status"] = "Succeeded"
                model.prompts["id1"]["submittedAt"] = "2026-01-01T00:01:00Z"
            return model.answer(request)

        either = applying(make, end_after)
        either(lambda airplane: getattr(airplane, kind).wait("id1", wait_timeout=60))
        assert len(either.transport.requests) <= 3
        assert 1030 <= either.clock.now() <= 1030.25
        assert either.clock.sleeps == []

    def test_progress_is_reported_as_often_as_the_policy_polls(self, timed: Make) -> None:
        either = timed(("Active", 25))
        seen: list[tuple[str, float]] = []
        policy = PollPolicy(max_delay=4.5)
        either(wait(60, poll=policy, on_progress=lambda session, elapsed: seen.append((session.status, elapsed))))
        assert seen[-1] == ("Succeeded", 25)
        gaps = [later - sooner for (_, sooner), (_, later) in pairwise(seen)]
        assert max(gaps) <= 4.5

    def test_progress_at_a_fast_policy_is_reported_by_polling(self, timed: Make) -> None:
        either = timed(("Active", 3))
        either(wait(60, poll=PollPolicy(initial_delay=0.01, max_delay=0.5), on_progress=lambda *_: None))
        assert {prefer for prefer, _ in asked(either)} == {None}

    def test_a_retry_after_is_heeded_between_long_polls(self, make: Make) -> None:
        either = make([session("Active", **WAIT, **{"Retry-After": "7"}), session("Succeeded")])
        either(wait())
        assert 7 <= either.clock.sleeps[0] <= 7.7

    def test_a_preference_of_the_callers_own_is_kept(self, make: Make) -> None:
        either = make([session("Succeeded")])
        either(wait(options=CallOptions(headers={"Prefer": "respond-async"})))
        assert asked(either) == [("respond-async, wait=20", None)]


class TestPromptsAnsweredByAFunction:
    @pytest.fixture
    def either(self, make: Make) -> Either:
        """A session that asks a first time after 30 seconds, and a second time 30 seconds after that was answered."""
        self.model = model = Model()
        self.asks_at = [1030.0]
        self.refusals: Iterator[Response] = iter([])
        model.add_session("ses1", "Active")
        model.add_run("run1")

        def live(request: Request) -> Response:
            if self.asks_at and either.clock.now() >= self.asks_at[0]:
                del self.asks_at[0]
                model.add_prompt(f"pmt{len(model.prompts)}", "run1")
            is_answered = all("submittedAt" in prompt for prompt in model.prompts.values())
            is_over = len(model.prompts) == 2 and is_answered
            model.sessions["ses1"]["status"] = "Succeeded" if is_over else "Active" if is_answered else "Waiting"
            if "submit" in request.target:
                if (refusal := next(self.refusals, None)) is not None:
                    return refusal
                self.asks_at = [either.clock.now() + 30] if len(model.prompts) == 1 else []
            return model.answer(request)

        either = applying(make, live, retry=NO_RETRY)
        return either

    def test_prompts_are_answered_when_they_open(self, either: Either) -> None:
        moments: list[float] = []
        either(wait(600, on_prompt=lambda *_: moments.append(either.clock.now()) or {}))
        assert len(moments) == 2
        assert 1030 <= moments[0] <= 1030.25
        assert moments[0] + 30 <= moments[1] <= moments[0] + 30.25
        assert either.clock.sleeps == []

    def test_an_answer_that_was_not_submitted_is_not_kept_waiting(self, either: Either) -> None:
        self.refusals = iter([BUSY, BUSY])
        either(wait(600, on_prompt=lambda *_: {}))
        assert either.clock.now() < 1065
        assert len(either.clock.sleeps) >= 2
        submitted = [request.body for request in either.transport.requests if "submit" in request.target]
        assert [b"pmt0" in body for body in submitted] == [True, True, True, False]


class TestServersThatDoNotApplyTheWait:
    def test_a_server_that_ignores_the_wait_is_polled(self, make: Make) -> None:
        either = make([session("Active")] * 10 + [session("Succeeded")])
        either(wait(600))
        assert len(either.clock.sleeps) == 10
        for slept, bound in zip(either.clock.sleeps, [0.1 * 1.5**quiet for quiet in range(10)], strict=True):
            assert bound / 2 <= slept <= bound

    def test_a_server_with_etags_alone_is_polled(self, make: Make) -> None:
        unchanged = Response(status=304, headers=Headers({"ETag": '"1"'}), body=b"")
        either = make([session("Active", ETag='"1"'), *[unchanged] * 9, session("Succeeded", ETag='"2"')])
        assert either(wait(600)).status == "Succeeded"
        assert len(either.clock.sleeps) == 10
        assert either.clock.sleeps[-1] > 1
        assert {etag for _, etag in asked(either)[1:]} == {'"1"'}

    def test_a_304_may_come_without_an_etag(self, make: Make) -> None:
        unchanged = Response(status=304, headers=Headers({}), body=b"")
        either = make([session("Active", ETag='"1"'), unchanged, unchanged, session("Succeeded")])
        either(wait(600))
        assert [etag for _, etag in asked(either)] == [None, '"1"', '"1"', '"1"']

    def test_the_body_of_a_304_is_not_read(self, make: Make) -> None:
        unchanged = Response(status=304, headers=Headers(WAIT), body=b"{not JSON")
        either = make([told("Active"), unchanged, told("Succeeded", "2")])
        assert either(wait()).status == "Succeeded"

    def test_a_304_that_no_request_called_for_is_an_error(self, make: Make) -> None:
        either = make([UNCHANGED])
        with pytest.raises(APIError, match="nothing has changed") as caught:
            either(wait())
        assert caught.value.status == 304

    @pytest.mark.parametrize("etag", ["", "\xe9", "a\r\nb", '"' + "x" * 2000 + '"'])
    def test_an_etag_that_cannot_be_sent_is_not_sent(self, make: Make, etag: str) -> None:
        either = make([session("Active", ETag=etag), session("Succeeded")])
        either(wait())
        assert asked(either)[1][1] is None

    @pytest.mark.parametrize("applied", ["respond-async", "wait=soon", "await=20", ""])
    def test_only_the_wait_counts_as_applied(self, make: Make, applied: str) -> None:
        either = make([told("Active", wait=applied), told("Waiting", "2", wait=applied), session("Succeeded")])
        either(wait())
        assert len(either.clock.sleeps) == 2

    @pytest.mark.parametrize("applied", ["wait", "wait=20", 'respond-async, WAIT="20"', "wait = 20"])
    def test_a_wait_may_be_applied_in_other_words(self, make: Make, applied: str) -> None:
        either = make([told("Active", wait=applied), told("Waiting", "2", wait=applied), session("Succeeded")])
        either(wait())
        assert either.clock.sleeps == []


class TestServersThatFail:
    """No server is stormed: the delays of the poll policy separate the requests."""

    @pytest.mark.parametrize("applied", ["wait=20", "wait=0", "wait"])
    @pytest.mark.parametrize("answer", ["the same", "unchanged"])
    def test_a_server_that_does_not_wait_is_polled(self, make: Make, applied: str, answer: str) -> None:
        unchanged = Response(status=304, headers=Headers({**WAIT, "Preference-Applied": applied}), body=b"")
        same = told("Active", wait=applied)
        reply = {"the same": same, "unchanged": unchanged}[answer]
        either = make(lambda request: reply if "if-none-match" in request.headers else same)
        with pytest.raises(WaitTimeout):
            either(wait(600))
        assert len(either.transport.requests) < 120
        assert sum(either.clock.sleeps) > 590

    def test_a_server_that_always_claims_a_change_is_polled(self, make: Make) -> None:
        numbers = iter(range(10**6))
        either = make(lambda _: told("Active", str(next(numbers))))
        with pytest.raises(WaitTimeout):
            either(wait(60))
        assert len(either.transport.requests) < 15 + 60 / 0.05
        assert sum(either.clock.sleeps) > 59

    def test_a_server_that_hangs_up_is_polled(self, make: Make) -> None:
        answers = iter([told("Active")])
        either = make(lambda _: next(answers, ConnectionLost("hung up")), retry=NO_RETRY)
        with pytest.raises(WaitTimeout):
            either(wait(600))
        assert len(either.transport.requests) < 120

    def test_a_server_that_answers_errors_is_retried_and_polled(self, make: Make) -> None:
        answers = iter([told("Active")])
        either = make(lambda _: next(answers, BUSY), retry=RetryPolicy(max_attempts=3), retry_budget=None)
        with pytest.raises(WaitTimeout):
            either(wait(600))
        assert {request.attempt for request in either.transport.requests} == {1, 2, 3}
        assert len(either.transport.requests) < 360

    def test_the_poll_after_a_failure_is_an_ordinary_one(self, make: Make) -> None:
        answers = [told("Active"), ConnectionLost("cut off"), UNCHANGED, told("Succeeded", "2")]
        either = make(answers, retry=NO_RETRY)
        either(wait(600))
        assert [prefer for prefer, _ in asked(either)] == ["wait=20", "wait=20", None, "wait=20"]
        assert len(either.clock.sleeps) == 1  # after the failure

    def test_a_proxy_that_cuts_long_polls_off_gets_no_more(self, make: Make) -> None:
        def cut_off(request: Request) -> Any:
            if "if-none-match" not in request.headers:
                return told("Active")
            if "prefer" not in request.headers:
                return UNCHANGED if either.clock.now() < 1600 else session("Succeeded")
            either.clock.advance(10)
            return ConnectionLost("cut off")

        either = make(cut_off, retry=NO_RETRY)
        assert either(wait(None)).status == "Succeeded"
        assert [prefer for prefer, _ in asked(either)].count("wait=20") == 4

    def test_a_server_that_was_away_is_told_from_then_on(self, make: Make) -> None:
        def live(request: Request) -> Any:
            if 1010 <= either.clock.now() < 1300:
                return BUSY
            return json_response({"id": "ses1", "status": "Active" if either.clock.now() < 1400 else "Succeeded"})

        either = applying(make, live, retry=NO_RETRY)
        either(wait(None))
        assert 1400 <= either.clock.now() <= 1400.25
        assert asked(either)[-1][0] == "wait=20"

    def test_a_missing_session_is_an_error_in_a_long_poll_too(self, make: Make) -> None:
        either = make([told("Active"), json_response({"error": "gone"}, status=404)])
        with pytest.raises(NotFound):
            either(wait())


class TestTheChain:
    def test_an_unchanged_object_refunds_the_retry_budget(self, make: Make) -> None:
        budget = RetryBudget(capacity=10, cost=5)
        budget.take()
        either = make([told("Active"), UNCHANGED, UNCHANGED, told("Succeeded", "2")], retry_budget=budget)
        either(wait())
        assert budget.tokens == 9

    def test_an_unchanged_object_is_not_retried(self, make: Make) -> None:
        claim = Response(status=304, headers=Headers({**WAIT, "X-Airplane-Retryable": "true"}), body=b"")
        policy = RetryPolicy(retry=lambda state: pytest.fail("asked the policy about a success"))
        either = make([told("Active"), claim, told("Succeeded", "2")], retry=policy)
        either(wait())
        assert [request.attempt for request in either.transport.requests] == [1, 1, 1]

    def test_a_conditional_call_of_the_callers_own_is_one_attempt(self, make: Make) -> None:
        either = make([UNCHANGED])
        options = CallOptions(headers={"If-None-Match": '"1"'})
        with pytest.raises(APIError) as caught:
            either(lambda airplane: airplane.sessions.get("ses1", options=options))
        assert (caught.value.status, caught.value.attempts) == (304, 1)


class TestPlaces:
    def test_half_of_the_pool_is_for_long_polls(self) -> None:
        polls = LongPolls(5)
        with polls.place() as first, polls.place() as second, polls.place() as third:
            assert (first, second, third) == (True, True, False)
        with polls.place() as again:
            assert again

    def test_a_place_is_given_back_after_an_interrupt(self) -> None:
        polls = LongPolls(2)
        with pytest.raises(KeyboardInterrupt), polls.place():
            raise KeyboardInterrupt
        with polls.place() as again:
            assert again

    def test_a_forked_child_has_all_places(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(base, "_resets", weakref.WeakKeyDictionary())
        polls = LongPolls(2)
        with polls.place():
            base._reset_transports()  # as a child does
            with polls.place() as of_the_child:
                assert of_the_child

    @pytest.mark.parametrize(("size", "expected"), [(2, 1), (9, 4), (None, 16), ("many", 16)])
    def test_further_waiters_poll_as_before(self, size: Any, expected: int) -> None:
        """As many threads wait as there are places and three more, and the server answers them all at the end."""
        count = expected + 3
        everyone = threading.Barrier(count + 1)
        transport = FakeTransport(lambda _: (everyone.wait(60) and None) or session("Succeeded"))
        if size is not None:
            transport.pool_size = size
        either = Either("sync", transport)
        threads = [threading.Thread(target=either, args=(wait(),)) for _ in range(count)]
        for thread in threads:
            thread.start()
        everyone.wait(60)
        for thread in threads:
            thread.join()
        assert sum(prefer is not None for prefer, _ in asked(either)) == expected


def rendered(**options: Any) -> Any:
    from airplane_runbooks.options import render

    return render(CallOptions(**options), "test")


@pytest.mark.parametrize(
    ("longest", "left", "expected"),
    [(20, None, 20), (20, 20.6, 20), (20, 20.4, 19), (20, 0.9, 0), (20, -3, 0), (7.9, None, 7), (0, None, 0)],
)
def test_the_seconds_of_a_wait_are_whole(longest: float, left: float | None, expected: int) -> None:
    assert seconds_to_wait(rendered(), longest=longest, left=left) == expected
