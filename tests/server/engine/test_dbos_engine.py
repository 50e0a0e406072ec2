from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import partial

import pytest
import sqlalchemy as sa
from dbos import DBOSPortableJSONSerializer

from airplane_runbooks.models import RunStatus
from airplane_runbooks.server.engine import dbos as dbos_engine
from airplane_runbooks.server.engine.dbos import SCHEMA, DbosEngine, EngineInUse
from airplane_runbooks.server.engine.reconciler import Reconciler
from airplane_runbooks.server.errors import Closing
from airplane_runbooks.server.service import prompts
from airplane_runbooks.server.storage.ids import new_id
from airplane_runbooks.server.storage.records import Outcome, Run, RunKind
from airplane_runbooks.server.storage.tables import SERVERS
from tests.support.engines import NothingHeld, Worker
from tests.support.model_store import ModelStore
from tests.support.servers import eventually
from tests.support.services import services_around

pytestmark = [pytest.mark.once, pytest.mark.postgres]


@pytest.fixture
def database(postgres_url):
    """A new database with the table of the servers."""
    database = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    SERVERS.create(database)
    yield database
    database.dispose()


@pytest.fixture
def url(database):
    return database.url.render_as_string(hide_password=False)


@pytest.fixture
def opened(database):
    """Open engines one after the other; all that are open are closed at the end, and nothing of it stays."""
    before = set(threading.enumerate())
    engines = []

    def open_one(work, workers=4):
        if engines:
            engines[-1].close(5)
        engine = DbosEngine(database, workers)
        engine.open(work)
        engines.append(engine)
        return engine

    yield open_one
    for engine in engines:
        engine.close(5)
    eventually(lambda: set(threading.enumerate()) <= before)


def rows(database):
    """Return what DBOS has of each job."""
    with database.connect() as connection:
        return dict(connection.execute(sa.text(f"SELECT workflow_uuid, status FROM {SCHEMA}.workflow_status")).all())


def succeeded(database, job_id):
    eventually(lambda: rows(database).get(job_id) == "SUCCESS")


def test_a_job_started_twice_is_worked_on_once(opened, database):
    work = Worker()
    engine = opened(work)
    for _ in range(3):
        engine.start("a.1")
        engine.wake("a.1")
    engine.start("b.1")
    succeeded(database, "b.1")
    engine.wake("a.1")
    engine.start("c.1")
    succeeded(database, "c.1")
    assert work.calls == {"a.1": 1, "b.1": 1, "c.1": 1}


def test_each_segment_of_a_run_is_a_job_of_its_own(opened, database):
    work = Worker()
    engine = opened(work)
    engine.start("a.1")
    engine.wake("a.2")
    succeeded(database, "a.1")
    succeeded(database, "a.2")
    assert work.calls == {"a.1": 1, "a.2": 1}


def test_a_job_is_worked_on_again_at_its_own_request(opened, database):
    calls = []
    engine = opened(lambda job_id, **_: calls.append(job_id) or len(calls) < 3)
    engine.start("a.1")
    succeeded(database, "a.1")
    assert calls == ["a.1"] * 3


@pytest.mark.parametrize("jobs", [200, pytest.param(1000, marks=pytest.mark.nightly)])
def test_many_jobs_run_once_each_and_at_most_one_per_worker(opened, jobs):
    lock, busy, most, calls = threading.Lock(), set(), [], []

    def work(job_id, **_):
        with lock:
            busy.add(job_id)
            most.append(len(busy))
            calls.append(job_id)
        time.sleep(0.0005)
        with lock:
            busy.discard(job_id)
        return False

    engine = opened(work)
    for number in range(jobs):
        engine.start(f"run{number}.1")
    eventually(lambda: len(calls) == jobs and not engine._threads._working, deadline=100)
    assert len(set(calls)) == jobs
    assert max(most) <= 4


def test_a_close_leaves_late_jobs_to_the_next_start(opened, database, caplog):
    slow = Worker()
    slow.free.clear()
    engine = opened(slow)
    for number in range(6):
        engine.start(f"a.{number}")
    eventually(lambda: len(slow.calls) == 4 and len(rows(database)) == 6)
    engine.close(0.2)
    assert "4 steps are still running" in caplog.text
    assert len(slow.calls) == 4
    assert set(rows(database).values()) == {"PENDING", "ENQUEUED"}
    slow.free.set()
    again = Worker()
    engine = opened(again)
    engine.recover([])
    for job_id in list(rows(database)):
        succeeded(database, job_id)
    assert set(again.calls.values()) == {1}
    assert len(again.calls) == 6


def test_a_close_waits_for_jobs_and_records_their_ends(opened, database, caplog, monkeypatch):
    serialize = DBOSPortableJSONSerializer.serialize
    monkeypatch.setattr(
        DBOSPortableJSONSerializer, "serialize", lambda self, value: time.sleep(0.3) or serialize(self, value)
    )
    work = Worker()
    work.free.clear()
    engine = opened(work)
    engine.start("a.1")
    assert work.entered.wait(100)
    threading.Timer(0.2, work.free.set).start()
    engine.close(10)
    assert rows(database)["a.1"] == "SUCCESS"
    assert caplog.text == ""


def test_a_closed_engine_takes_no_work(opened, database):
    work = Worker()
    engine = opened(work)
    engine.close(1)
    engine.close(1)
    with pytest.raises(Closing):
        engine.start("a.1")
    engine.wake("a.1")
    engine.cancel("a.1")
    engine.forget("a.1")
    engine.recover(["a.1"])
    assert not work.calls
    assert rows(database) == {}


def test_an_engine_never_opened_can_be_closed(database):
    DbosEngine(database).close(1)


def test_a_second_engine_in_the_process_is_refused(opened, database):
    work = Worker()
    engine = opened(work)
    with pytest.raises(EngineInUse):
        DbosEngine(database).open(work)
    engine.start("a.1")
    succeeded(database, "a.1")


def test_an_engine_that_cannot_open_leaves_nothing_behind(opened, database):
    before = set(threading.enumerate())
    nowhere = sa.create_engine(database.url.set(database="nowhere"))
    engine = DbosEngine(nowhere)
    with pytest.raises(sa.exc.OperationalError):
        engine.open(Worker())
    with pytest.raises(Closing):
        engine.start("a.1")
    engine.close(1)
    eventually(lambda: set(threading.enumerate()) <= before)
    opened(Worker()).start("a.1")
    succeeded(database, "a.1")


def test_engines_open_and_close_one_after_the_other(opened, database):
    for number in range(5):
        engine = opened(Worker())
        engine.start(f"a.{number}")
        succeeded(database, f"a.{number}")
        engine.close(5)


def test_engines_open_where_an_event_loop_runs(opened, database):
    async def run():
        return opened(Worker())

    asyncio.run(run()).start("a.1")
    succeeded(database, "a.1")


@pytest.mark.parametrize("problem", [RuntimeError("secret"), SystemExit(3), KeyboardInterrupt("secret")])
def test_a_job_that_raises_is_begun_again_and_costs_no_worker(opened, database, caplog, monkeypatch, problem):
    monkeypatch.setattr(dbos_engine, "RETRY", 0.05)
    calls = []

    def work(job_id, **_):
        calls.append(job_id)
        if job_id.startswith("bad") and calls.count(job_id) < 3:
            raise problem
        return False

    engine = opened(work, workers=1)
    engine.start("bad.1")
    eventually(lambda: "bad.1" in engine._broken)
    assert rows(database)["bad.1"] == "PENDING"  # a restart would take it up, too
    engine.start("good.1")
    succeeded(database, "good.1")
    eventually(lambda: engine.recover([]) or rows(database)["bad.1"] == "SUCCESS")
    assert calls.count("bad.1") == 3
    assert type(problem).__name__ in caplog.text
    assert "secret" not in caplog.text


def test_a_job_that_raised_waits_before_it_is_begun_again(opened, database):
    calls = []

    def work(job_id, **_):
        calls.append(job_id)
        raise RuntimeError

    engine = opened(work)
    engine.start("a.1")
    eventually(lambda: "a.1" in engine._broken)
    engine.recover(["a.1"])
    assert "a.1" in engine._broken
    assert rows(database) == {"a.1": "PENDING"}
    assert calls == ["a.1"]


def test_a_machine_out_of_threads_loses_no_job(opened, database, monkeypatch):
    monkeypatch.setattr(dbos_engine, "RETRY", 0.05)
    work = Worker()
    engine = opened(work)
    ordinary = threading.Thread.start

    def scarce(thread):
        if thread.name.startswith("runbook-a"):
            raise RuntimeError("can't start new thread")
        ordinary(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", scarce)
        engine.start("a.1")
        eventually(lambda: "a.1" in engine._broken)
    eventually(lambda: engine.recover([]) or rows(database)["a.1"] == "SUCCESS")
    assert work.calls == {"a.1": 1}


def test_a_job_may_run_an_event_loop_of_its_own(opened, database):
    results = []

    async def add(one, other):
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: one + other)

    engine = opened(lambda job_id, **_: results.append(asyncio.run(add(1, 2))))
    for number in range(8):
        engine.start(f"a.{number}")
    eventually(lambda: results == [3] * 8)


@pytest.mark.parametrize("status", ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
def test_a_due_job_that_is_over_is_begun_again(opened, database, status):
    work = Worker()
    engine = opened(work)
    engine.start("a.1")
    succeeded(database, "a.1")
    with database.begin() as connection:
        connection.execute(sa.text(f"UPDATE {SCHEMA}.workflow_status SET status = :status"), {"status": status})
    engine.recover(["a.1"])
    eventually(lambda: work.calls["a.1"] == 2)
    succeeded(database, "a.1")


def test_unknown_due_jobs_begin_and_queued_ones_are_left_alone(opened, database):
    work = Worker()
    work.free.clear()
    engine = opened(work, workers=1)
    engine.start("a.1")
    engine.start("b.1")
    assert work.entered.wait(100)
    eventually(lambda: rows(database) == {"a.1": "PENDING", "b.1": "ENQUEUED"})
    for _ in range(3):
        engine.recover(["a.1", "b.1", "c.1"])
    work.free.set()
    succeeded(database, "c.1")
    assert work.calls == {"a.1": 1, "b.1": 1, "c.1": 1}


def test_a_session_lost_between_store_and_engine_is_executed(opened):
    store = ModelStore()
    run = Run(id=new_id("run"), kind=RunKind.TASK, task_id="tsk1", slug="one", name="One", env_slug="prod")
    store.add(run)

    def work(job_id, **_):
        run_id, _, segment = job_id.rpartition(".")
        begun = store.begin(run_id, int(segment), owner_is_gone=True)
        return begun is None or not store.finish(run_id, Outcome.succeeded(b"1"), begun.fencing_token)

    engine = opened(work)
    expire = partial(prompts.expire, services_around(store, engine))
    reconciler = Reconciler(store, engine, holding=NothingHeld(), expire=expire, keep_ended=10, keep_for=None)
    reconciler.start()
    try:
        eventually(lambda: store.run(run.id).status is RunStatus.SUCCEEDED)
    finally:
        reconciler.stop()


def test_forgotten_jobs_leave_no_rows(opened, database):
    engine = opened(Worker())
    for number in range(20):
        engine.start(f"a.{number}")
    succeeded(database, "a.19")
    eventually(lambda: set(rows(database).values()) == {"SUCCESS"})
    for number in range(20):
        engine.forget(f"a.{number}")
    engine.forget("never.1")
    engine.recover([])
    assert rows(database) == {}
    with database.connect() as connection:
        look = sa.inspect(connection)
        tables = {table: look.get_columns(table, schema=SCHEMA) for table in look.get_table_names(schema=SCHEMA)}
        of_jobs = [table for table, columns in tables.items() if "workflow_uuid" in {one["name"] for one in columns}]
        assert len(of_jobs) > 3
        assert not any(connection.scalar(sa.text(f"SELECT count(*) FROM {SCHEMA}.{table}")) for table in of_jobs)


def test_a_job_forgotten_while_it_is_worked_on_goes_afterwards(opened, database, caplog):
    work = Worker()
    work.free.clear()
    engine = opened(work)
    engine.start("a.1")
    assert work.entered.wait(100)
    engine.forget("a.1")
    engine.recover([])
    assert rows(database) == {"a.1": "PENDING"}
    work.free.set()
    succeeded(database, "a.1")
    engine.recover([])
    assert rows(database) == {}
    assert caplog.text == ""


def test_the_database_holds_no_pickles(opened, database):
    engine = opened(Worker())
    engine.start("a.1")
    succeeded(database, "a.1")
    with database.connect() as connection:
        kinds = connection.scalars(sa.text(f"SELECT serialization FROM {SCHEMA}.workflow_status")).all()
    assert kinds == ["portable_json"]


def test_an_outage_of_the_database_fails_no_caller_of_the_engine(opened, database, caplog):
    work = Worker()
    engine = opened(work)

    with database.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {SCHEMA}.workflow_status ADD CONSTRAINT no CHECK (false) NOT VALID"))
    engine.start("a.1")
    engine.wake("b.1")
    eventually(lambda: "job b.1 has to wait: " in caplog.text)
    with database.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {SCHEMA}.workflow_status DROP CONSTRAINT no"))
    engine.recover(["a.1", "b.1"])
    succeeded(database, "a.1")
    succeeded(database, "b.1")
    assert "secret" not in caplog.text


def test_the_applications_logging_stays_as_it_is(opened):
    before = list(logging.getLogger().handlers)
    opened(Worker())
    log = logging.getLogger("dbos")
    assert log.propagate
    assert [type(handler) for handler in log.handlers] == [logging.NullHandler]
    assert logging.getLogger().handlers == before


def test_a_job_that_never_ends_lets_the_interpreter_exit(child, journal):
    journal.hold("a.1")
    engine = child()
    engine.tell("start", "a.1")
    journal.awaits("begin", "a.1")
    engine.tell("close", "0.1")
    assert engine.end() == 0
    journal.let_go("a.1")
    child()
    journal.awaits("end", "a.1")
