"""Waiting, while anything may happen on the server: the schedule alone, and a state machine on fake time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from airplane_runbooks import CANCEL, NO_RETRY, PollPolicy, Request, Response, WaitTimeout
from airplane_runbooks.testing import FakeTransport, json_response, long_polled
from airplane_runbooks.waiters.schedule import LONGEST_RETRY_AFTER, SHORTEST_DELAY, Pace, next_poll
from tests.support.clients import Either, Model
from tests.support.examples import examples

SECONDS = st.floats(0.001, 100)
POLICIES = st.builds(
    lambda initial, more, growth: PollPolicy(initial_delay=initial, max_delay=initial + more, growth=growth),
    st.floats(0.001, 10),
    st.floats(0, 100),
    st.floats(1, 10),
)
DRAWS = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(0, 10**6), st.none() | st.floats(0, 1e6), st.none() | st.floats(-10, 1e6), DRAWS)
def test_the_next_poll_is_neither_too_soon_nor_too_late(
    policy: PollPolicy, quiet: int, asked: float | None, left: float | None, draw: float
) -> None:
    delay = next_poll(policy, quiet, retry_after=asked, left=left, draw=draw)
    if delay is None:
        assert left is not None
        assert left <= 2 * SHORTEST_DELAY if asked is None else left <= max(asked * 1.1, SHORTEST_DELAY)
        return
    assert delay >= min(SHORTEST_DELAY, policy.initial_delay / 2)
    assert left is None or delay < left
    if asked is not None:
        heard = min(asked, LONGEST_RETRY_AFTER)
        assert heard <= delay <= max(heard * 1.1, SHORTEST_DELAY)
    else:
        assert delay <= policy.max_delay


@given(POLICIES, st.integers(0, 50), DRAWS)
def test_the_intervals_grow_up_to_their_bound(policy: PollPolicy, quiet: int, draw: float) -> None:
    now, later = (next_poll(policy, count, retry_after=None, left=None, draw=draw) for count in (quiet, quiet + 1))
    assert now is not None
    assert later is not None
    assert now <= later


@given(POLICIES, SECONDS, DRAWS)
def test_looks_go_on_until_shortly_before_the_deadline(policy: PollPolicy, timeout: float, draw: float) -> None:
    left, looks = timeout, 0
    while (delay := next_poll(policy, looks, retry_after=None, left=left, draw=draw)) is not None:
        left -= delay
        looks += 1
    assert 0 <= left <= max(2 * SHORTEST_DELAY, timeout * 0.26)
    assert left <= 2 * SHORTEST_DELAY


REPLIES = st.tuples(st.none() | st.integers(0, 20), st.floats(0, 0.2), st.booleans())


@given(POLICIES, st.lists(REPLIES, min_size=200, max_size=200), DRAWS)
def test_no_server_is_asked_at_once_for_ever(
    policy: PollPolicy, replies: list[tuple[int | None, float, bool]], draw: float
) -> None:
    """Replies that come sooner than their server says that it waits are followed by the delays of the policy."""
    pace = Pace(policy, reports_progress=False)
    at_once = 0
    for applied, took, changed in replies:
        pace.note_reply(applied=applied, took=min(took, policy.initial_delay / 2), changed=changed)
        delay = pace.delay(retry_after=None, left=None, draw=draw)
        assert delay is not None
        at_once = at_once + 1 if delay == 0 else 0
        assert delay == 0 or delay >= policy.initial_delay / 2
        assert at_once <= 10


class Waiting(RuleBasedStateMachine):
    """A session that does what it will, and waits that are taken up again.

    The server may apply `Prefer: wait`, and is down at times.
    """

    @initialize(kind=st.sampled_from(["sync", "async"]), applies=st.booleans())
    def start(self, kind: str, applies: bool) -> None:
        self.applies = applies
        self.model = Model()
        self.model.add_session("ses1", "Active")
        self.model.add_run("run1")
        self.events: list[tuple[float, Any]] = []
        self.down: list[tuple[float, float]] = []
        self.retry_after: float | None = None
        self.ends_at: float | None = None
        self.prompts = 0
        self.looks: list[float] = []
        self.asked: list[str] = []
        self.either = Either(kind, FakeTransport(self.look), retry=NO_RETRY)
        self.told = long_polled(self.answer, self.either.clock)

    @property
    def now(self) -> float:
        return self.either.clock.now()

    def look(self, request: Request) -> Response:
        if "sessions/get" in request.target:
            self.looks.append(self.now)
        response = self.told(request) if self.applies else self.answer(request)
        assert isinstance(response, Response)
        return response

    def answer(self, request: Request) -> Response:
        for event in [event for event in self.events if event[0] <= self.now]:
            self.events.remove(event)
            event[1]()
        if any(begin <= self.now < end for begin, end in self.down):
            return json_response({"error": "down"}, status=503)
        response = self.model.answer(request)
        if self.retry_after is None:
            return response
        return json_response_with(response, self.retry_after)

    @rule(after=SECONDS, status=st.sampled_from(["Succeeded", "Failed", "Cancelled"]))
    def it_will_end(self, after: float, status: str) -> None:
        if self.ends_at is None:
            self.ends_at = self.now + after
            self.events.append((self.ends_at, lambda: self.model.sessions["ses1"].update(status=status)))

    @rule(after=SECONDS, status=st.sampled_from(["Pending", "Active", "Waiting", "Cancelling", "Dreaming"]))
    def it_will_change(self, after: float, status: str) -> None:
        if self.ends_at is None or self.now + after < self.ends_at:
            self.events.append((self.now + after, lambda: self.model.sessions["ses1"].update(status=status)))

    @rule(after=SECONDS)
    def it_will_ask(self, after: float) -> None:
        self.prompts += 1
        prompt = f"pmt{self.prompts}"
        self.events.append((self.now + after, lambda: self.model.add_prompt(prompt, "run1")))

    @rule(after=SECONDS, lasting=SECONDS)
    def the_server_will_be_down(self, after: float, lasting: float) -> None:
        self.down.append((self.now + after, self.now + after + lasting))

    @rule(seconds=st.none() | st.integers(0, 20))
    def the_server_asks_for_patience(self, seconds: int | None) -> None:
        self.retry_after = seconds

    @rule(timeout=SECONDS, cancels=st.booleans())
    def somebody_waits(self, timeout: float, cancels: bool) -> None:
        started = self.now
        self.looks.clear()
        self.asked.clear()

        def handler(prompt: Any, _: object) -> Any:
            self.asked.append(prompt.id)
            return CANCEL if cancels else {}

        wait = {"wait_timeout": timeout, "on_prompt": handler, "raise_on_failure": False}
        try:
            session = self.either(lambda airplane: airplane.sessions.wait("ses1", **wait))
        except WaitTimeout as late:
            session = late.last
            assert late.session_id == "ses1"  # noqa: PT017  # either way is fine
            assert session is None or not session.status.is_terminal
            grace = 2 * SHORTEST_DELAY if self.retry_after is None else max(22.0, 2 * SHORTEST_DELAY)
            assert started + timeout - grace <= self.now
        else:
            assert session.status.is_terminal
            assert self.ends_at is not None
            assert self.ends_at <= self.now
            if self.applies and not self.down and self.retry_after is None:
                late = self.now - max(self.ends_at, started)
                assert late <= 0.5 or (late <= 2 and self.now > started + timeout - 2)  # the last looks are polls
        assert self.now <= started + timeout
        assert self.looks[0] == started
        if self.applies:
            assert len(self.looks) <= 100 + timeout / SHORTEST_DELAY
        else:
            assert all(later - sooner >= SHORTEST_DELAY * 0.999 for sooner, later in pairwise(self.looks))
        assert len(self.asked) == len(set(self.asked))
        answered = {one["id"] for one in self.model.prompts.values() if {"submittedAt", "cancelledAt"} & one.keys()}
        assert set(self.asked) <= answered or any(end > started for _, end in self.down)


def json_response_with(response: Response, retry_after: float) -> Response:
    return msgspec.structs.replace(response, headers=response.headers.with_header("Retry-After", str(retry_after)))


TestWaiting = Waiting.TestCase
TestWaiting.settings = examples(1.5, stateful_step_count=15)
