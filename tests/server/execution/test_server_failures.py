"""Failures of the server never end a session: its store may raise anything, at any call."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial, wraps
from itertools import product
from uuid import uuid4

import pytest

from airplane_runbooks.server import AsyncContext, Context, runbook
from airplane_runbooks.server.engine import store_engine
from airplane_runbooks.server.execution import guard
from airplane_runbooks.server.storage import transitions
from airplane_runbooks.server.storage.errors import DatabaseUnavailable
from airplane_runbooks.server.storage.sql_store import SqlStore
from tests.support.servers import eventually, served

CALLS = Counter()
EXECUTOR = ("begin", "history", "add_child", "attempt", "finish", "pause", "release")  # its calls of the store
IN_PLACE = len(guard.RETRY_DELAYS) + 1  # tries of a call before it fails
ESSENTIAL = {("plain", "after", 1), ("coroutine", "before", IN_PLACE + 2)}


def note(tag, name):
    CALLS[tag, name] += 1
    return name


async def note_soon(tag, name):
    await asyncio.sleep(0)
    return note(tag, name)


@runbook
def plain(context: Context, tag: str) -> list[str]:
    """Take one step, two side by side and one after a question."""
    done = [context.step(note, tag, "one")]
    done += context.parallel(lambda: context.step(note, tag, "two"), lambda: context.step(note, tag, "three"))
    context.prompt(f"{tag}?", go=bool)
    return [*done, context.step(note, tag, "four")]


@runbook
async def coroutine(context: AsyncContext, tag: str) -> list[str]:
    done = [await context.step(note_soon, tag, "one")]
    done += await asyncio.gather(context.step(note, tag, "two"), context.step(note_soon, tag, "three"))
    await context.prompt(f"{tag}?", go=bool)
    return [*done, await context.step(note, tag, "four")]


@runbook
def careless(context: Context, tag: str) -> list[str]:
    """Swallow everything that a step raises, which is bad style."""
    done = []
    for name in ("one", "two"):
        try:
            done.append(context.step(note, tag, name))
        except BaseException:  # noqa: BLE001 - that is the test
            done.append("swallowed")
    return done


RUNBOOKS = (plain, coroutine, careless)


class Outage:
    """Makes the executor's calls of the store raise: for each session those that its tag tells, and counts all.

    A tag is `CALL-WHEN-TIMES`: from this call on, so many calls raise, before or after they do their work. A call is
    a number among all calls, `3`, or among those of a name, `finish.3`: how many calls are one transaction depends on
    the time, so the number among all does not tell the name. A transaction always raises after its commit.
    """

    def __init__(self, problem=DatabaseUnavailable):
        self._problem = problem
        self._lock = threading.Lock()
        self._tags = {}
        self._inside = threading.local()
        self.counts = Counter()
        self.raised = Counter()

    def patch(self, monkeypatch):
        for name in EXECUTOR:
            monkeypatch.setattr(SqlStore, name, self._failing(name, getattr(SqlStore, name)))
        monkeypatch.setattr(SqlStore, "transact", self._failing_transact(SqlStore.transact))

    def _failing_transact(self, real):
        @wraps(real)
        def transact(store, work):
            def tagged(opened):  # perhaps on the thread of a writer
                self._inside.tag = None
                return work(opened), self._inside.tag

            result, tag = real(store, tagged)
            if tag is not None and self._fails(tag, "transact"):
                raise self._problem
            return result

        return transact

    def _failing(self, name, real):
        @wraps(real)
        def call(store, first, *args, **kwargs):
            tag = self._inside.tag = self._tag(store, first if isinstance(first, str) else first.root_id)
            if not (when := self._fails(tag, name)):
                return real(store, first, *args, **kwargs)
            if when == "after":
                real(store, first, *args, **kwargs)
            raise self._problem

        return call

    def _tag(self, store, run_id):
        if run_id not in self._tags:
            run = store.run(run_id)
            root = run if run.root_id is None else store.run(run.root_id)
            self._tags[run_id] = root.env_slug
        return self._tags[run_id]

    def _fails(self, tag, name):
        with self._lock:
            self.counts[tag, name] += 1
            self.counts[tag, ""] += 1
            call, when, times = tag.split("-")
            wanted, _, number = call.rpartition(".")
            if wanted in {"", name} and 0 <= self.counts[tag, wanted] - int(number) < int(times):
                self.raised[tag, name] += 1
                return when
            return ""


@pytest.fixture(
    params=[
        pytest.param("memory", marks=pytest.mark.nightly),
        "file",
        pytest.param("postgres", marks=pytest.mark.postgres),
    ]
)
def database(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runbooks.db'}"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Start segments that were given back at once, not after seconds."""
    CALLS.clear()
    monkeypatch.setattr(store_engine, "RETRY", 0.2)
    monkeypatch.setattr(transitions, "LEASE", timedelta(seconds=1))


def start(api, slug, tag):
    body = {"slug": slug, "paramValues": {"tag": tag}, "envSlug": tag}
    answer = api.post("/runbooks/execute", body)
    assert answer.status == 200, answer.json
    return answer.json["sessionID"]


def follow(api, session_id):
    """Answer the session's prompt if it has one, and return its status and its runbook's output in the end."""

    def ended():
        status = api.session(session_id)["status"]
        if status == "Waiting":
            api.answer(session_id, go=True)
        return status in {"Succeeded", "Failed", "Cancelled"} and status

    return eventually(ended, deadline=100), api.output(api.runs(session_id)[0])


# Of all combinations, two that have every value between them are enough for every change.
@pytest.mark.once
@pytest.mark.parametrize(
    ("slug", "when", "times"),
    [
        pytest.param(*values, marks=() if values in ESSENTIAL else pytest.mark.nightly)
        for values in product(("plain", "coroutine"), ("before", "after"), (1, IN_PLACE + 2))
    ],
)
def test_no_failing_call_of_the_store_changes_a_session(monkeypatch, database, slug, when, times):
    outage = Outage()
    outage.patch(monkeypatch)
    with served(*RUNBOOKS, database=database) as api:
        follow(api, start(api, slug, unharmed := "999-before-1"))
        tags = [
            f"{name}.{number}-{when}-{times}"
            for name in (*EXECUTOR, "transact")
            for number in range(1, outage.counts[unharmed, name] + 1)
        ]
        sessions = {tag: start(api, slug, tag) for tag in tags}
        ends = {tag: follow(api, session_id) for tag, session_id in sessions.items()}
    assert ends == dict.fromkeys(tags, ("Succeeded", ["one", "two", "three", "four"]))
    assert {call: count for call, count in CALLS.items() if count != 1} == {}
    assert {name for _, name in outage.raised} >= {"history", "add_child", "finish", "pause", "transact"}
    assert len({tag for tag, _ in outage.raised}) >= 14


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_failure_that_a_runbook_swallows_has_no_effect(monkeypatch, when):
    outage = Outage()
    outage.patch(monkeypatch)
    with served(*RUNBOOKS) as api:
        calls = ("add_child.1", "finish.1", "transact.1", "add_child.2", "finish.2", "finish.3", "1", "2")
        tags = [f"{call}-{when}-{IN_PLACE}" for call in calls]
        sessions = {tag: start(api, "careless", tag) for tag in tags}
        assert {tag: follow(api, one) for tag, one in sessions.items()} == dict.fromkeys(
            tags, ("Succeeded", ["one", "two"])
        )
    assert set(CALLS.values()) == {1}
    assert {tag for tag, _ in outage.raised} == set(tags)


@pytest.mark.parametrize("slug", [pytest.param("plain", marks=pytest.mark.nightly), "coroutine"])
def test_no_step_is_repeated_by_a_server_that_lives(monkeypatch, slug):
    """The ends that it could not record are recorded together with the release of the session."""
    monkeypatch.setattr(guard, "PATIENCE", 0.0)
    outage = Outage()
    outage.patch(monkeypatch)
    with served(*RUNBOOKS) as api:
        tags = [f"{number}-before-{IN_PLACE + 1}" for number in range(1, 15)]
        sessions = {tag: start(api, slug, tag) for tag in tags}
        ends = {tag: follow(api, session_id)[0] for tag, session_id in sessions.items()}
    assert ends == dict.fromkeys(tags, "Succeeded")
    assert set(CALLS.values()) == {1}
    assert {name for _, name in outage.raised} >= {"add_child", "finish"}


@pytest.mark.parametrize(
    "problem",
    [
        KeyError,
        *(pytest.param(one, marks=pytest.mark.nightly) for one in (RecursionError, OSError, asyncio.TimeoutError)),
    ],
)
def test_any_exception_of_a_store_is_a_failure_of_the_server(monkeypatch, problem):
    outage = Outage(problem)
    outage.patch(monkeypatch)
    with served(*RUNBOOKS) as api:
        tags = [f"{number}-before-{IN_PLACE}" for number in range(1, 15)]
        sessions = {tag: start(api, "plain", tag) for tag in tags}
        assert {follow(api, session_id)[0] for session_id in sessions.values()} == {"Succeeded"}


def test_an_outage_does_not_count_as_a_failed_start(monkeypatch):
    """Nothing is counted between a begin that was recorded and an end that cannot be."""
    outage = Outage()
    outage.patch(monkeypatch)
    monkeypatch.setattr(guard, "PATIENCE", 0.0)
    monkeypatch.setattr(store_engine, "RETRY", 0.0)
    with served(*RUNBOOKS) as api:
        tag = f"3-before-{IN_PLACE * 12}"
        session_id = start(api, "careless", tag)
        assert follow(api, session_id)[0] == "Succeeded"
    assert sum(outage.raised.values()) == IN_PLACE * 12
    assert outage.raised[tag, "begin"] == 0
    assert set(CALLS.values()) == {1}


def test_a_lack_of_threads_changes_no_session(monkeypatch):
    real = threading.Thread.start
    lacking = {"runbook-branch", "runbook-step", "runbook-execution", "runbook-executions"}

    def start_of(thread):
        name = thread.name
        if name in lacking:
            lacking.discard(name)
            raise RuntimeError("can't start new thread")
        real(thread)

    with served(*RUNBOOKS) as api:
        monkeypatch.setattr(threading.Thread, "start", start_of)
        for slug in ("plain", "coroutine"):
            assert follow(api, start(api, slug, slug))[0] == "Succeeded"
    assert set(CALLS.values()) == {1}
    assert lacking == set()


def insistently(api, path, body):
    """Post until it is answered 200, with one key."""
    key = {"Idempotency-Key": str(uuid4())}

    def posted():
        answer = api.post(path, body, **key)
        assert answer.status in {200, 409, 503}, answer.json
        return answer.status == 200 and answer.json

    return eventually(posted, deadline=100)


@pytest.mark.postgres
@pytest.mark.once
def test_connections_that_are_cut_again_and_again_do_not_matter(postgres, postgres_url):
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{postgres_url.partition('?')[0].rpartition('/')[2]}'"
    )
    ended = threading.Event()

    def keep_cutting():
        for _ in range(30):
            postgres.execute(cut)
            ended.wait(0.3)

    with served(*RUNBOOKS, database=postgres_url) as api, ThreadPoolExecutor(8) as callers:
        cutter = threading.Thread(target=keep_cutting)
        cutter.start()

        def through(number):
            slug, tag = ("plain", "coroutine")[number % 2], str(number)
            started = insistently(api, "/runbooks/execute", {"slug": slug, "paramValues": {"tag": tag}})
            session_id = started["sessionID"]

            prompt = eventually(partial(first_prompt, api, session_id), deadline=100)
            insistently(api, "/prompts/submit", {"id": prompt, "values": {"go": True}})
            return eventually(partial(has_ended, api, session_id), deadline=100)

        ends = Counter(callers.map(through, range(150)))
        cutter.join()
    assert ends == {"Succeeded": 150}
    assert {call: count for call, count in CALLS.items() if count != 1} == {}


def first_prompt(api, session_id):
    answer = api.get("/runs/list", sessionID=session_id)
    waiting = [run["id"] for run in answer.json["runs"] if run["isWaitingForUser"]] if answer.status == 200 else []
    answer = api.get("/prompts/list", runID=waiting[0]) if waiting else answer
    return waiting and answer.status == 200 and answer.json["prompts"][0]["id"]


def has_ended(api, session_id):
    answer = api.get("/sessions/get", id=session_id)
    status = answer.status == 200 and answer.json["status"]
    return status in {"Succeeded", "Failed", "Cancelled"} and status
