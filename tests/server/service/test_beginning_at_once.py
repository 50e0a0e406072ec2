"""Calls that start or wake a root run begin it themselves if a worker is free."""

from __future__ import annotations

import threading

import pytest

from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.execution import writes
from airplane_runbooks.server.storage.sql_store import SqlStore
from tests.support.servers import eventually, started

LEAVE = threading.Event()


@runbook
def asks(context: Context) -> str:
    """Ask between two steps."""
    one = context.step(str, 1, name="one")
    context.prompt("Go on?", go=bool)
    return one + context.step(str, 2, name="two")


@runbook
def stays(context: Context) -> None:
    context.step(LEAVE.wait, 100)


@pytest.fixture
def begun(monkeypatch):
    """Note which transactions begin segments: those of calls, or those of workers."""
    noted = []
    for name in ("add_begun", "answer", "begin"):
        real = getattr(SqlStore, name)

        def noting(store, *args, _real=real, _name=name, **kwargs):
            result = _real(store, *args, **kwargs)
            noted.append((_name, threading.current_thread().name.startswith("runbook-worker")))
            return result

        monkeypatch.setattr(SqlStore, name, noting)
    return noted


def test_a_start_and_an_answer_begin_the_session_themselves(begun):
    with started(asks) as (_, api):
        session_id = api.execute("asks")
        api.answer(session_id, go=True)
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == "12"
    assert [name for name, _ in begun] == ["add_begun", "answer"]


def test_only_what_may_have_a_history_is_asked_for_it(monkeypatch):
    """A worker that comes late may find that another server has begun the session since it was added."""
    asked, history = [], SqlStore.history
    monkeypatch.setattr(SqlStore, "history", lambda store, run_id: asked.append(run_id) or history(store, run_id))
    monkeypatch.setattr(writes, "FRESH", 3600.0)
    with started(asks) as (_, api):
        session_id = api.execute("asks")
        api.reaches(session_id, "Waiting")
        assert asked == []
        api.answer(session_id, go=True)
        api.reaches(session_id, "Succeeded")
        assert len(asked) == 1
        monkeypatch.setattr(writes, "FRESH", -1.0)
        api.reaches(api.execute("asks"), "Waiting")
        assert len(asked) == 2


def test_what_finds_no_free_worker_is_begun_by_a_worker_later(begun):
    LEAVE.clear()
    with started(asks, stays, workers=1) as (_, api):
        first = api.execute("stays")
        second = api.execute("asks")
        assert api.session(second)["status"] == "Pending"
        LEAVE.set()
        api.reaches(first, "Succeeded")
        api.reaches(second, "Waiting")
    assert begun == [("add_begun", False), ("begin", True)]


def test_a_transaction_that_fails_gives_its_worker_back(monkeypatch):
    with started(asks, workers=1) as (server, api):
        keys = type(server._lifecycle.services.store.keys)

        def fail(*_):
            raise ArithmeticError

        with monkeypatch.context() as patch:
            patch.setattr(keys, "settle", fail)
            failed = api.post("/runbooks/execute", {"slug": "asks"}, **{"Idempotency-Key": "one"})
            assert failed.status == 500
        assert api.get("/sessions/list").json["sessions"] == []
        engine = server._lifecycle.services.engine
        eventually(lambda: engine._reserved == 0)
        session_id = api.execute("asks", **{"Idempotency-Key": "one"})
        api.answer(session_id, go=True)
        api.reaches(session_id, "Succeeded")
