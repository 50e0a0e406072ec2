"""Servers that share a database share the work."""

from __future__ import annotations

import threading

import pytest

from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.engine.store_engine import StoreEngine
from tests.support.engines import Alone, Worker
from tests.support.servers import Client, eventually

ENTERED: list[str] = []
LEAVE = threading.Event()


@pytest.fixture
def shared():
    """An engine of two workers that shares a database, its work, what it told others of, and how often it looked."""
    told, looks, work = [], [], Worker()
    engine = StoreEngine(2, Alone(), told.append)
    engine.open(work, lambda: looks.append(1))
    yield engine, work, told, looks
    work.free.set()
    engine.close(5)


def test_a_server_tells_others_of_jobs_that_wait_for_workers(shared):
    engine, work, told, _ = shared
    work.free.clear()
    for name in ("a.1", "b.1", "c.1"):
        engine.start(name)
    engine.wake("d.2")
    assert told == ["c.1", "d.2"]
    work.free.set()
    eventually(lambda: work.calls == {"a.1": 1, "b.1": 1, "c.1": 1, "d.2": 1})


def test_a_server_takes_no_more_due_jobs_than_it_has_workers(shared):
    engine, work, told, looks = shared
    work.free.clear()
    engine.start("a.1")
    assert engine.has_room
    engine.recover([f"due.{number}" for number in range(50)])
    assert not engine.has_room
    engine.recover(["due.50"])
    assert work.entered.wait(10)
    eventually(lambda: len(work.calls) == 2)
    assert (looks, told) == ([], [])
    work.free.set()
    eventually(lambda: looks == [1])  # the rest was left to others, who may have left it as well
    assert len(work.calls) == 2


def test_a_server_looks_no_more_once_it_has_seen_all_that_is_due(shared):
    engine, work, _, looks = shared
    engine.recover(["a.1", "b.1"])
    eventually(lambda: len(work.calls) == 2)
    engine.recover([])
    eventually(lambda: engine.has_room)
    assert looks == []


def test_an_engine_that_has_closed_knows_no_others():
    engine = StoreEngine(1, Alone())
    engine.open(Worker(), lambda: None)
    assert engine.announced() == [b"[]"]
    engine.close(1)
    assert engine.announced() == ()


@runbook
def stays(context: Context, name: str) -> str:
    """Stay in a step until all may leave."""
    return context.step(stay, name)


def stay(name):
    ENTERED.append(name)
    assert LEAVE.wait(60)
    return name


@pytest.mark.postgres
def test_a_busy_server_leaves_sessions_to_an_idle_one(postgres_url):
    LEAVE.clear()
    ENTERED.clear()
    with (
        RunbookServer([stays], database=postgres_url, workers=2) as busy,
        RunbookServer([stays], database=postgres_url, workers=3) as idle,
    ):
        client = Client(busy)
        try:
            sessions = [client.execute("stays", {"name": str(number)}) for number in range(6)]
            eventually(lambda: len(ENTERED) == 5)
            assert idle.base_url != busy.base_url
            LEAVE.set()
            for session_id in sessions:
                client.reaches(session_id, "Succeeded")
            assert sorted(ENTERED) == [str(number) for number in range(6)]
        finally:
            LEAVE.set()
            client.close()
