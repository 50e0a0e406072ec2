from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server import Context, runbook, task
from airplane_runbooks.server.errors import Conflict, KeyBusy
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.idempotency import (
    LEASE,
    LIFETIME,
    Claim,
    StoredReply,
)
from airplane_runbooks.server.storage.sql_idempotency import SqlKeys
from airplane_runbooks.server.storage.tables import KEYS
from tests.support.examples import examples
from tests.support.model_store import ModelKeys
from tests.support.servers import Client, eventually, served

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


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_url(request, tmp_path):
    """URL of a database for one test, on each kind of database."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'server.db'}"


@pytest.fixture(scope="module")
def api():
    with served(counted, asks, tasks=[counted_task]) as client:
        yield client


def execute(api, key, name="", path="/runbooks/execute", slug="counted"):
    return api.post(path, {"slug": slug, "paramValues": {"name": name}}, **{"Idempotency-Key": key})


def test_a_repeated_key_gets_the_first_reply_and_starts_nothing(api):
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


@examples(0.16)
@given(names=st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True), callers=st.integers(2, 12))
def test_threads_that_share_a_key_start_one_session(api, names, callers):
    barrier = threading.Barrier(callers * len(names))

    def call(name):
        barrier.wait(100)
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


def test_a_repeated_call_waits_for_the_end_of_the_first(any_url):
    entered, leave = threading.Event(), threading.Event()

    @runbook
    def slow_to_start(context: Context) -> None:
        """Take no part: the test holds the API at the parameters."""

    check = slow_to_start.check

    def hold(values):
        entered.set()
        assert leave.wait(100)
        return check(values)

    slow_to_start.check = hold
    with served(slow_to_start, database=any_url) as api, ThreadPoolExecutor(2) as threads:

        def call():
            return api.post("/runbooks/execute", {"slug": "slow_to_start"}, **{"Idempotency-Key": "k"})

        first = threads.submit(call)
        assert entered.wait(100)
        second = threads.submit(call)
        time.sleep(0.2)
        assert not second.done()
        leave.set()
        assert (first.result().status, second.result().status) == (200, 200)
        assert first.result().body == second.result().body
        assert len(api.get("/sessions/list").json["sessions"]) == 1


def test_a_client_that_was_cut_off_finds_its_session_again():
    entered, leave = threading.Event(), threading.Event()

    @runbook
    def held(context: Context) -> None:
        """Take no part: the test holds the API at the parameters."""

    check = held.check

    def hold(values):
        entered.set()
        assert leave.wait(100)
        return check(values)

    held.check = hold
    with served(held) as api:
        impatient = Client.__new__(Client)
        impatient.__dict__.update(api.__dict__)
        with pytest.raises(Exception, match="timed out"):
            impatient.send(
                "POST", "/runbooks/execute", json={"slug": "held"}, headers={"Idempotency-Key": "k"}, timeout=0.2
            )
        assert entered.wait(100)
        leave.set()

        def resend():
            answer = api.send("POST", "/runbooks/execute", json={"slug": "held"}, headers={"Idempotency-Key": "k"})
            return answer.status == 200 and answer

        answer = eventually(resend)
        assert [one["id"] for one in api.get("/sessions/list").json["sessions"]] == [answer.json["sessionID"]]


@pytest.fixture(params=["model", "memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)])
def make_keys(request, tmp_path):
    """Makes stores of keys that look at one clock; in a database, they share what they know."""
    if request.param == "model":
        yield ModelKeys
        return
    urls = {"memory": lambda: "sqlite://", "file": lambda: f"sqlite:///{tmp_path / 'keys.db'}"}
    database = Database(urls.get(request.param, lambda: request.getfixturevalue("postgres_url"))())
    yield lambda clock: SqlKeys(database, clock)
    database.close()


class TestKeys:
    def test_a_key_is_kept_for_an_hour(self, make_keys):
        now = [0.0]
        keys = make_keys(lambda: now[0])
        first = keys.claim("k", b"a")
        assert first.reply is None
        keys.settle("k", StoredReply(200, b"first"))
        now[0] = LIFETIME - 1
        assert keys.claim("k", b"a") == Claim(first.seed, StoredReply(200, b"first"))
        now[0] = LIFETIME
        later = keys.claim("k", b"b")
        assert later.reply is None
        assert later.seed != first.seed

    def test_a_claim_is_busy_until_it_is_settled(self, make_keys):
        keys = make_keys(lambda: 0.0)
        keys.claim("k", b"a")
        with pytest.raises(Conflict):
            keys.claim("k", b"b")
        with pytest.raises(KeyBusy):
            keys.claim("k", b"a")
        keys.claim("other", b"b")
        keys.settle("k", StoredReply(200, b"first"))
        assert keys.claim("k", b"a").reply == StoredReply(200, b"first")

    def test_a_claim_whose_call_has_died_is_taken_over_with_its_seed(self, make_keys):
        now = [0.0]
        keys = make_keys(lambda: now[0])
        first = keys.claim("k", b"a")
        now[0] = LEASE - 0.001
        with pytest.raises(KeyBusy):
            keys.claim("k", b"a")
        now[0] = LEASE
        assert keys.claim("k", b"a") == first
        with pytest.raises(KeyBusy):
            keys.claim("k", b"a")

    def test_a_busy_key_says_how_long_it_may_be_busy(self, make_keys):
        now = [0.0]
        keys = make_keys(lambda: now[0])
        keys.claim("k", b"a")
        for moment, left in ((0.0, 10), (0.5, 10), (8.9, 2), (9.5, 1), (LEASE - 0.001, 1)):
            now[0] = moment
            with pytest.raises(KeyBusy) as refused:
                keys.claim("k", b"a")
            assert (refused.value.retryable, refused.value.retry_after) == (True, left)

    def test_a_key_from_before_a_clock_change_is_busy_no_longer(self, make_keys):
        now = [10_000.0]
        keys = make_keys(lambda: now[0])
        first = keys.claim("k", b"a")
        now[0] = 6_000.0
        assert keys.claim("k", b"a") == first

    def test_of_many_who_claim_one_key_at_once_one_gets_it(self, make_keys):
        keys = make_keys(time.time)
        barrier = threading.Barrier(8)

        def claim(_):
            barrier.wait(100)
            try:
                return keys.claim("k", b"a").seed
            except KeyBusy:
                return None

        with ThreadPoolExecutor(8) as threads:
            claims = list(threads.map(claim, range(8)))
        assert claims.count(None) == 7


class TestSqlKeys:
    @pytest.fixture
    def database(self):
        database = Database("sqlite://")
        yield database
        database.close()

    def count(self, database):
        with database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(KEYS))

    def test_servers_share_them(self, database):
        one, other = SqlKeys(database), SqlKeys(database)
        seed = one.claim("k", b"a").seed
        with pytest.raises(KeyBusy):
            other.claim("k", b"a")
        one.settle("k", StoredReply(201, b"\x00"))
        assert other.claim("k", b"a") == Claim(seed, StoredReply(201, b"\x00"))

    def test_those_that_nobody_asks_for_any_more_are_cleaned_away(self, database):
        now = [1.0]
        keys = SqlKeys(database, lambda: now[0])
        for number in range(5):
            keys.claim(f"settled {number}", b"a")
            keys.settle(f"settled {number}", StoredReply(200, b""))
            keys.claim(f"died {number}", b"a")
        now[0] = LIFETIME
        keys.claim("died 0", b"a")  # another caller has
        assert self.count(database) == 10
        now[0] += 1
        SqlKeys(database, lambda: now[0]).claim("new", b"a")
        assert self.count(database) == 2
        assert keys.claim("settled 0", b"b").reply is None

    def test_cleaning_keeps_up_with_any_rate(self, database, monkeypatch):
        monkeypatch.setattr(
            "airplane_runbooks.server.storage.sql_idempotency.LIFETIME", 60.0
        )  # so that fifty a second are few
        now, count, lifetime = [1.0], itertools.count(), 3000
        keys = SqlKeys(database, lambda: now[0])

        def claim(calls, seconds):
            for _ in range(calls):
                now[0] += seconds / calls
                name = f"k{next(count)}"
                keys.claim(name, b"a")
                keys.settle(name, StoredReply(200, b""))

        claim(lifetime, 60)
        most = 0
        for _ in range(20):
            claim(lifetime // 10, 6)
            most = max(most, self.count(database))
        assert lifetime <= most <= lifetime + 100
        now[0] += 120
        claim(50, 1.0)  # a few after a pause make up for it
        assert self.count(database) <= 50
