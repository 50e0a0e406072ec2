from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from airplane_runbooks.server.engine import leases
from airplane_runbooks.server.engine.dbos import POLL, SCHEMA, DbosEngine
from airplane_runbooks.server.engine.leases import SERVERS, Membership
from tests.support.engines import Worker
from tests.support.servers import eventually

pytestmark = pytest.mark.postgres


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
def engine(database):
    engine = DbosEngine(database, workers=4)
    yield engine
    engine.close(5)


def rows(database):
    with database.connect() as connection:
        return dict(connection.execute(sa.text(f"SELECT workflow_uuid, status FROM {SCHEMA}.workflow_status")).all())


def living(database):
    with database.connect() as connection:
        return set(connection.scalars(sa.select(SERVERS.c.id)))


def keep_recovering(*ones, until):
    """Do what reconcilers do, on several servers at once, only more often."""

    def look():
        for one in ones:
            one.tell("recover")
        return until()

    eventually(look, deadline=100)


def test_jobs_are_shared_and_each_is_worked_on_once(child, journal):
    servers = [child(), child()]
    for number in range(40):
        servers[number % 2].tell("start", f"a.{number}")
        servers[(number + 1) % 2].tell("start", f"a.{number}")
    for number in range(40):
        journal.awaits("end", f"a.{number}")
    assert all(journal.count("begin", f"a.{number}") == 1 for number in range(40))


def test_a_busy_server_leaves_jobs_to_others(child, journal):
    busy = child()
    for number in range(4):
        journal.hold(f"slow.{number}")
        busy.tell("start", f"slow.{number}")
    for number in range(4):
        journal.awaits("begin", f"slow.{number}")
    idle = child()
    for number in range(4):
        busy.tell("start", f"quick.{number}")
    for number in range(4):
        journal.awaits("end", f"quick.{number}")
        assert journal.by("end", f"quick.{number}") == [idle.process.pid]


def test_the_jobs_of_a_killed_server_are_taken_over_once(child, journal):
    victim = child()
    for number in range(3):
        journal.hold(f"a.{number}")
        victim.tell("start", f"a.{number}")
    for number in range(3):
        journal.awaits("begin", f"a.{number}")
    heirs = [child(), child()]
    victim.kill()
    for number in range(3):
        journal.let_go(f"a.{number}")
    keep_recovering(*heirs, until=lambda: all(journal.count("end", f"a.{number}") for number in range(3)))
    keep_recovering(*heirs, until=lambda: True)
    assert all(journal.count("begin", f"a.{number}") == 2 for number in range(3))
    assert {journal.by("end", f"a.{number}")[0] for number in range(3)} <= {one.process.pid for one in heirs}


def test_a_frozen_server_is_taken_over_and_goes_on_when_it_wakes(child, journal, database):
    frozen = child()
    journal.hold("a.1")
    frozen.tell("start", "a.1")
    journal.awaits("begin", "a.1")
    heir = child()
    assert len(living(database)) == 2
    frozen.freeze()
    keep_recovering(heir, until=lambda: journal.count("begin", "a.1") == 2)
    assert len(living(database)) == 1
    frozen.thaw()
    eventually(lambda: len(living(database)) == 2)
    journal.let_go("a.1")
    journal.awaits("end", "a.1", times=2)  # the store refuses the late result: this work knows no store
    eventually(lambda: rows(database)["a.1"] == "SUCCESS")
    journal.hold("b.1")
    for number in range(8):
        frozen.tell("start", f"c.{number}")
    for number in range(8):
        journal.awaits("end", f"c.{number}")
    heir.kill()
    frozen.tell("start", "d.1")
    journal.awaits("end", "d.1")
    frozen.tell("close", "5")
    assert frozen.end() == 0


@pytest.mark.nightly
def test_a_server_that_has_lost_a_job_does_not_wait_for_its_end(child, journal):
    frozen = child()
    journal.hold("a.1")
    frozen.tell("start", "a.1")
    journal.awaits("begin", "a.1")
    heir = child()
    frozen.freeze()
    keep_recovering(heir, until=lambda: journal.count("begin", "a.1") == 2)
    heir.freeze()
    frozen.thaw()
    journal.let_go("a.1")
    journal.awaits("end", "a.1")
    frozen.tell("close", "5")
    assert frozen.end() == 0
    heir.thaw()
    journal.awaits("end", "a.1", times=2)


def test_jobs_of_a_closing_server_are_taken_over_at_once(child, journal, database):
    leaving = child()
    journal.hold("a.1")
    leaving.tell("start", "a.1")
    journal.awaits("begin", "a.1")
    heir = child()
    leaving.tell("close", "0.1")
    assert len(living(database)) == 1
    heir.tell("recover")
    journal.awaits("begin", "a.1", times=2)
    journal.let_go("a.1")
    journal.awaits("end", "a.1")


def test_jobs_of_unknown_servers_are_taken_over(child, journal, database):
    lost = child()
    journal.hold("a.1")
    lost.tell("start", "a.1")
    journal.awaits("begin", "a.1")
    lost.kill()
    with database.begin() as connection:
        connection.execute(sa.delete(SERVERS))
    journal.let_go("a.1")
    child().tell("recover")
    journal.awaits("end", "a.1")


def test_a_server_does_not_begin_a_lost_job_again_that_raised(engine, database):
    def work(job_id, **_):
        raise RuntimeError

    engine.open(work)
    engine.start("a.1")
    eventually(lambda: "a.1" in engine._broken)
    with database.begin() as connection:
        connection.execute(sa.text(f"UPDATE {SCHEMA}.workflow_status SET executor_id = 'another'"))
    with engine._membership._engine.begin() as connection:
        connection.execute(sa.insert(SERVERS).values(id="another", seen_at=sa.func.now()))
    engine._broken["a.1"] = 0.0
    engine.recover([])
    assert rows(database) == {"a.1": "PENDING"}
    assert engine._broken == {}


def test_a_job_that_comes_back_waits_for_its_earlier_execution(engine, database):
    work = Worker()
    work.free.clear()
    engine.open(work)
    engine.start("a.1")
    assert work.entered.wait(100)
    engine._resume(["a.1"])
    eventually(lambda: rows(database) == {"a.1": "PENDING"})
    eventually(lambda: sum(thread.name.startswith("dbos-executor") for thread in threading.enumerate()) > 1)
    time.sleep(0.1)
    assert work.calls == {"a.1": 1}
    work.free.set()
    eventually(lambda: work.calls == {"a.1": 2})
    eventually(lambda: rows(database) == {"a.1": "SUCCESS"})


def test_a_closing_server_takes_no_more_jobs_from_the_queue(engine, database):
    work = Worker()
    work.free.clear()
    engine.open(work)
    engine.start("a.1")
    assert work.entered.wait(100)
    closing = threading.Thread(target=engine.close, args=(10,))
    closing.start()
    eventually(lambda: not engine._sender.is_alive())
    engine._enqueue("b.1")
    time.sleep(3 * POLL)
    assert rows(database) == {"a.1": "PENDING", "b.1": "ENQUEUED"}
    work.free.set()
    closing.join()
    assert rows(database) == {"a.1": "SUCCESS", "b.1": "ENQUEUED"}


def test_only_one_server_at_a_time_leads_the_others(database):
    one, other = Membership(database.url, "one"), Membership(database.url, "other")
    one.join()
    other.join()
    try:
        with one.leadership() as mine:
            assert mine == {"one", "other"}
            with other.leadership() as theirs:
                assert theirs is None
        with other.leadership() as theirs:
            assert theirs == {"one", "other"}
    finally:
        one.leave()
        one.leave()
        other.leave()
    assert living(database) == set()


def test_a_lease_outlives_a_lost_connection(database, monkeypatch, caplog):
    monkeypatch.setattr(leases, "RENEWAL", 0.05)
    server = Membership(database.url, "one")
    server.join()
    try:
        with database.begin() as connection:
            connection.execute(sa.text("ALTER TABLE runbook_servers RENAME TO elsewhere"))
        eventually(lambda: "the lease cannot be renewed" in caplog.text)
        time.sleep(0.3)
        assert caplog.text.count("the lease cannot be renewed") == 1
        with database.begin() as connection:
            connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO runbook_servers"))
            connection.execute(sa.delete(SERVERS))
        eventually(lambda: living(database) == {"one"})
        with database.begin() as connection:
            connection.execute(sa.delete(SERVERS))
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {others}"))
        eventually(lambda: living(database) == {"one"})
    finally:
        server.leave()


def test_a_closed_engine_leaves_no_thread_running(engine):
    before = set(threading.enumerate())
    engine.open(Worker())
    engine.close(1)
    eventually(lambda: set(threading.enumerate()) <= before)


def test_an_engine_without_its_table_does_not_open(database):
    before = set(threading.enumerate())
    SERVERS.drop(database)
    engine = DbosEngine(database)
    with pytest.raises(sa.exc.ProgrammingError):
        engine.open(Worker())
    engine.close(1)
    eventually(lambda: set(threading.enumerate()) <= before)
