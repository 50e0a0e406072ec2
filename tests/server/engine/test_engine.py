from __future__ import annotations

import threading
from collections import Counter

import pytest

from airplane_runbooks.server.engine.store_engine import StoreEngine
from airplane_runbooks.server.errors import Closing
from tests.support.servers import eventually


def look():
    """Take the hint of an engine that there may be more to do."""


@pytest.fixture
def engine():
    engine = StoreEngine(workers=4)
    yield engine
    engine.close(5)


def test_a_job_is_never_worked_on_twice_at_the_same_time(engine):
    working, seen, overlaps = set(), Counter(), []
    lock = threading.Lock()

    def work(run_id, **_):
        with lock:
            overlaps.extend([run_id] if run_id in working else [])
            working.add(run_id)
            seen[run_id] += 1
        with lock:
            working.discard(run_id)
        return seen[run_id] % 3 == 0

    engine.open(work, look)
    callers = [
        threading.Thread(target=lambda: [engine.wake(str(number % 5)) for number in range(500)]) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    engine.start("last")
    eventually(lambda: seen["last"])
    assert overlaps == []
    assert all(seen[str(number)] for number in range(5))


def test_a_wake_during_work_is_not_lost(engine):
    entered, leave, calls = threading.Event(), threading.Event(), []

    def work(run_id, **_):
        calls.append(run_id)
        entered.set()
        assert leave.wait(100)
        return False

    engine.open(work, look)
    engine.start("a")
    assert entered.wait(100)
    for _ in range(3):
        engine.wake("a")
        engine.cancel("a")
    leave.set()
    eventually(lambda: len(calls) == 2)
    engine.close(5)
    assert calls == ["a", "a"]


def test_a_job_is_worked_on_again_at_its_own_request(engine):
    calls = []
    engine.open(lambda run_id, **_: calls.append(run_id) or len(calls) < 3, look)
    engine.start("a")
    eventually(lambda: len(calls) == 3)


def test_threads_start_when_needed_up_to_the_number_of_workers(engine):
    names, together = set(), threading.Barrier(4)

    def work(run_id, **_):
        names.add(threading.current_thread().name)
        together.wait(100)
        return False

    before = threading.active_count()
    engine.open(work, look)
    assert threading.active_count() == before
    for number in range(20):
        engine.start(str(number))
    eventually(lambda: not engine._states)
    assert len(names) == 4
    assert threading.active_count() == before + 4


def test_a_job_that_raises_costs_no_thread(engine, caplog):
    done = threading.Event()

    def work(run_id, **_):
        if run_id == "bad":
            raise RuntimeError("secret")
        done.set()
        return False

    engine.open(work, look)
    for _ in range(8):
        engine.start("bad")
    engine.start("good")
    assert done.wait(100)
    eventually(lambda: not engine._states)
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_closed_engine_takes_no_work(engine):
    engine.open(lambda run_id, **_: False, look)
    engine.close(1)
    engine.close(1)
    with pytest.raises(Closing):
        engine.start("a")
    engine.wake("a")


def test_a_reserved_worker_executes_what_it_is_handed(engine):
    calls = []
    engine.open(lambda job_id, **_: calls.append(job_id), look)
    reserved = engine.reserve()
    assert reserved.hand_over("a.1", lambda: calls.append("begun"))
    eventually(lambda: calls == ["begun"] and not engine._states)
    engine.wake("a.1")
    eventually(lambda: calls == ["begun", "a.1"])


def test_a_begun_job_is_worked_on_again_at_its_own_request(engine):
    calls = []
    engine.open(lambda job_id, **_: bool(calls.append(job_id)), look)
    engine.reserve().hand_over("a.1", lambda: calls.append("begun") or True)
    eventually(lambda: calls == ["begun", "a.1"])


def test_no_more_workers_are_reserved_than_there_are(engine):
    engine.open(lambda job_id, **_: False, look)
    reserved = [engine.reserve() for _ in range(5)]
    assert [one is None for one in reserved] == [False] * 4 + [True]
    reserved[0].give_back()
    assert engine.reserve() is not None
    assert engine.reserve() is None


def test_a_reserved_worker_takes_no_job_from_the_queue(engine):
    leave, calls = threading.Event(), []

    def work(job_id, **_):
        calls.append(job_id)
        assert leave.wait(100)
        return False

    engine.open(work, look)
    reserved = engine.reserve()
    for number in range(4):
        engine.start(f"a.{number}")
    eventually(lambda: len(calls) == 3)
    assert engine.reserve() is None
    assert reserved.hand_over("b.1", lambda: calls.append("begun"))
    eventually(lambda: "begun" in calls)
    eventually(lambda: len(calls) == 5)
    leave.set()


def test_a_worker_that_is_given_back_takes_a_job_from_the_queue(engine):
    calls = []
    engine.open(lambda job_id, **_: bool(calls.append(job_id)), look)
    reserved = [engine.reserve() for _ in range(4)]
    engine.start("a.1")
    assert calls == []
    reserved[0].give_back()
    eventually(lambda: calls == ["a.1"])


def test_a_closed_engine_reserves_nothing_and_takes_nothing_over(engine):
    engine.open(lambda job_id, **_: False, look)
    reserved = engine.reserve()
    engine.close(1)
    assert engine.reserve() is None
    assert not reserved.hand_over("a.1", lambda: False)
