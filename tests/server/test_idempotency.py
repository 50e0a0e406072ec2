from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airplane_runbooks.server import Context, runbook, task
from airplane_runbooks.server.errors import Conflict, KeyBusy
from airplane_runbooks.server.keys import LEASE, LIFETIME, Claim, MemoryKeys, Reply
from tests.server.support import Client, eventually, served

CALLS = Counter()
LOCK = threading.Lock()


@runbook
def counted(context: Context, name: str = "") -> None:
    """Count how often it is executed."""
    with LOCK:
        CALLS[name] += 1


@runbook
def asks(context: Context) -> None:
    """Ask."""
    context.prompt("Go on?", go=bool)


@task
def counted_task(name: str) -> None:
    with LOCK:
        CALLS[name] += 1


@pytest.fixture(scope="module")
def api():
    with served(counted, asks, tasks=[counted_task]) as client:
        yield client


def execute(api, key, name="", path="/runbooks/execute", slug="counted"):
    return api.post(path, {"slug": slug, "paramValues": {"name": name}}, **{"Idempotency-Key": key})


def test_a_repeated_key_gets_the_first_answer_and_executes_nothing(api):
    first = execute(api, "repeat", "repeat")
    api.reaches(first.json["sessionID"], "Succeeded")
    again = execute(api, "repeat", "repeat")
    assert (again.status, again.body) == (200, first.body)
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"] == "repeat"
    assert CALLS["repeat"] == 1


def test_every_post_repeats_its_first_answer(api):
    run = execute(api, "t", "t", "/tasks/execute", "counted_task")
    assert execute(api, "t", "t", "/tasks/execute", "counted_task").body == run.body
    session_id = api.execute("asks")
    prompt_id = api.open_prompt(session_id)["id"]
    answers = [
        api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}}, **{"Idempotency-Key": "s"})
        for _ in range(2)
    ]
    assert [(answer.status, answer.json) for answer in answers] == [(200, {"id": prompt_id})] * 2
    session_id = api.execute("asks")
    prompt_id = api.open_prompt(session_id)["id"]
    for _ in range(2):
        assert api.post("/prompts/cancel", {"id": prompt_id}, **{"Idempotency-Key": "c"}).status == 200
    session_id = api.execute("asks")
    run_id = api.runs(session_id)[0]["id"]
    for _ in range(2):
        assert api.post("/runs/cancel", {"runID": run_id}, **{"Idempotency-Key": "r"}).status == 200
    assert api.post("/runs/cancel", {"runID": run_id}).status == 409


def test_a_key_belongs_to_one_request(api):
    assert execute(api, "mine", "a").status == 200
    for other in (
        execute(api, "mine", "b"),
        execute(api, "mine", "a", "/tasks/execute"),
        api.post(
            "/runbooks/execute?envSlug=dev",
            {"slug": "counted", "paramValues": {"name": "a"}},
            **{"Idempotency-Key": "mine"},
        ),
    ):
        assert (other.status, other.code) == (409, "idempotency_key_reused")
        assert other.headers["X-Airplane-Retryable"] == "false"
        assert other.headers["Idempotency-Key"] == "mine"


def test_only_success_is_kept(api):
    refused = api.post("/runbooks/execute", {"slug": "nope"}, **{"Idempotency-Key": "later"})
    assert (refused.status, refused.headers["Idempotency-Key"]) == (404, "later")
    assert execute(api, "later").status == 200


def test_an_empty_key_is_no_key_and_a_long_one_is_refused(api):
    assert execute(api, "").json != execute(api, "").json
    assert execute(api, "x" * 255).status == 200
    answer = execute(api, "x" * 256)
    assert (answer.status, answer.code) == (400, "invalid_idempotency_key")


def test_a_key_on_a_read_has_no_effect(api):
    session_id = api.execute("counted")
    api.reaches(session_id, "Succeeded")
    read = {"headers": {"Idempotency-Key": "read"}}
    assert api.send("GET", f"/sessions/get?id={session_id}", **read).json["id"] == session_id
    answer = api.send("GET", "/sessions/list", **read)
    assert answer.status == 200
    assert "Idempotency-Key" not in answer.headers


@settings(max_examples=8, deadline=None)
@given(names=st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True), callers=st.integers(2, 12))
def test_threads_that_share_a_key_start_one_session(api, names, callers):
    barrier = threading.Barrier(callers * len(names))

    def call(name):
        barrier.wait(10)
        while (answer := execute(api, f"key {name}", name)).status == 409:
            assert answer.code == "idempotency_key_in_use"
            assert answer.headers["X-Airplane-Retryable"] == "true"
        assert answer.status == 200
        return name, answer.json["sessionID"]

    with ThreadPoolExecutor(callers * len(names)) as threads:
        answers = set(threads.map(call, names * callers))
    assert len(answers) == len(names)
    for name, session_id in answers:
        api.reaches(session_id, "Succeeded")
        assert CALLS[name] == 1


def test_a_key_is_busy_from_before_the_call_is_carried_out():
    entered, leave = threading.Event(), threading.Event()

    @runbook
    def slow_to_start(context: Context, value: int) -> None:
        """Take no part: the test holds the API at the parameters."""

    def hold(values):
        entered.set()
        assert leave.wait(10)
        return values

    slow_to_start.arguments = hold
    with served(slow_to_start) as api, ThreadPoolExecutor(1) as thread:

        def call():
            return api.post("/runbooks/execute", {"slug": "slow_to_start"}, **{"Idempotency-Key": "k"})

        first = thread.submit(call)
        assert entered.wait(10)
        second = call()
        assert (second.status, second.code, second.headers["X-Airplane-Retryable"]) == (
            409,
            "idempotency_key_in_use",
            "true",
        )
        leave.set()
        assert first.result().status == 200
        assert call().body == first.result().body
        assert len(api.get("/sessions/list").json["sessions"]) == 1


def test_a_client_that_goes_away_in_the_middle_finds_its_session_on_resending():
    entered, leave = threading.Event(), threading.Event()

    @runbook
    def held(context: Context) -> None:
        """Take no part: the test holds the API at the parameters."""

    def hold(values):
        entered.set()
        assert leave.wait(10)
        return {}

    held.arguments = hold
    with served(held) as api:
        impatient = Client.__new__(Client)
        impatient.__dict__.update(api.__dict__)
        with pytest.raises(Exception, match="timed out"):
            impatient.send(
                "POST", "/runbooks/execute", json={"slug": "held"}, headers={"Idempotency-Key": "k"}, timeout=0.2
            )
        assert entered.is_set()
        leave.set()

        def resend():
            answer = api.send("POST", "/runbooks/execute", json={"slug": "held"}, headers={"Idempotency-Key": "k"})
            return answer.status == 200 and answer

        answer = eventually(resend)
        assert [one["id"] for one in api.get("/sessions/list").json["sessions"]] == [answer.json["sessionID"]]


class TestKeys:
    def test_a_key_is_kept_for_an_hour(self):
        now = [0.0]
        keys = MemoryKeys(lambda: now[0])
        first = keys.claim("k", b"a")
        assert first.reply is None
        keys.settle("k", Reply(200, b"first"))
        now[0] = LIFETIME - 1
        assert keys.claim("k", b"a") == Claim(first.seed, Reply(200, b"first"))
        now[0] = LIFETIME
        later = keys.claim("k", b"a")
        assert later.reply is None
        assert later.seed != first.seed

    def test_a_claim_is_busy_until_it_is_settled(self):
        keys = MemoryKeys(lambda: 0.0)
        keys.claim("k", b"a")
        with pytest.raises(Conflict):
            keys.claim("k", b"b")
        with pytest.raises(KeyBusy):
            keys.claim("k", b"a")
        keys.settle("k", None)
        assert keys.claim("k", b"b").reply is None

    def test_a_claim_whose_call_has_died_is_taken_over_with_its_seed(self):
        now = [0.0]
        keys = MemoryKeys(lambda: now[0])
        first = keys.claim("k", b"a")
        now[0] = LEASE
        assert keys.claim("k", b"a") == first
        with pytest.raises(KeyBusy):
            keys.claim("k", b"a")
