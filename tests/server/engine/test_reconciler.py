from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from airplane_runbooks.models import RunStatus, SessionStatus
from airplane_runbooks.server.engine import reconciler as reconciler_module
from airplane_runbooks.server.engine.reconciler import Reconciler
from airplane_runbooks.server.engine.store_engine import StoreEngine
from airplane_runbooks.server.errors import Closing
from airplane_runbooks.server.notifications import Notifications
from airplane_runbooks.server.service import prompts
from airplane_runbooks.server.storage.changes import CHANGES
from airplane_runbooks.server.storage.ids import new_id, now
from airplane_runbooks.server.storage.records import (
    Outcome,
    Prompt,
    Run,
    RunKind,
    Session,
)
from airplane_runbooks.server.storage.transitions import LEASE
from tests.support.engines import Alone, NothingHeld, saying
from tests.support.model_store import ModelStore
from tests.support.servers import eventually
from tests.support.services import services_around


class Engine:
    """Notes what it is told."""

    def __init__(self):
        self.recovered, self.woken = [], []
        self.peers = frozenset()

    def recover(self, jobs, more=False, ages=None):
        self.recovered.append(jobs)

    def wake(self, job_id):
        self.woken.append(job_id)


class Unheard(Notifications):
    """Notifications that do not arrive."""

    is_complete = False


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def store():
    return ModelStore()


@pytest.fixture
def reconciler(store, engine):
    """Make a reconciler, which is stopped at the end."""
    made = []

    def make(store=store, engine=engine, *, notifications=None, keep_ended=100, keep_for=None, interval=0.01):
        bounds = {"keep_ended": keep_ended, "keep_for": keep_for}
        expire = partial(prompts.expire, services_around(store, engine))
        told = notifications or Unheard()
        made.append(Reconciler(store, engine, told, holding=NothingHeld(), expire=expire, **bounds, interval=interval))
        return made[-1]

    before = set(threading.enumerate())
    yield make
    for one in made:
        one.stop()
        one.stop()
    assert "runbook-reconciler" not in {thread.name for thread in set(threading.enumerate()) - before}


def root(store):
    """Keep a new session, and return its run."""
    run = Run(
        id=new_id("run"),
        kind=RunKind.RUNBOOK,
        session_id=new_id("ses"),
        task_id="rbk1",
        slug="one",
        name="One",
        env_slug="prod",
    )
    assert store.add(run, Session(id=run.session_id, run_id=run.id, runbook_id="rbk1", name="One"))
    return run


def begun(store):
    return store.begin(root(store).id, 1)


def ended(store):
    run = begun(store)
    assert store.finish(run.id, Outcome.succeeded(b"1"), run.fencing_token)
    return run


def asked(store, expires_at, *, paused=True):
    """Have a session ask, and return its run and the prompt."""
    run = begun(store)
    child = replace(run, id=new_id("run"), kind=RunKind.PROMPT, root_id=run.id, position="1")
    prompt = Prompt(id=new_id("pmt"), run_id=child.id, root_id=run.id, description="?", expires_at=expires_at)
    assert store.add_child(child, run.fencing_token, prompt)
    if paused:
        assert not store.pause(run.id, run.fencing_token)
    return run, prompt


def test_jobs_due_at_the_start_are_recovered_before_it_returns(store, engine, reconciler):
    run = root(store)
    reconciler(interval=1000).start()
    assert engine.recovered == [[run.job_id]]


def test_a_job_that_becomes_due_is_recovered(store, engine, reconciler):
    reconciler().start()
    run = root(store)
    eventually(lambda: [run.job_id] in engine.recovered)


def test_a_hurried_look_at_what_is_due_does_nothing_else(store, engine, reconciler):
    one = reconciler(interval=1000)
    one.start()
    _, prompt = asked(store, now() - timedelta(seconds=1))
    run = root(store)
    one.hurry()
    eventually(lambda: engine.recovered == [[], [run.job_id]])
    assert store.prompt(prompt.id).is_open


@pytest.fixture
def queries(store):
    """The names of the methods by which the reconciler asks the store, in the order of their calls."""
    names = []
    for method in ("next_chore", "due", "overdue", "drop"):
        ask = getattr(store, method)
        setattr(store, method, lambda *values, ask=ask, method=method: names.append(method) or ask(*values))
    return names


def test_an_idle_pass_asks_the_store_for_one_thing(engine, reconciler, queries):
    reconciler().start()
    eventually(lambda: len(engine.recovered) > 10)
    assert set(queries) == {"next_chore", "drop"}
    assert queries.count("drop") < queries.count("next_chore") / 2


@pytest.mark.usefixtures("far_sighted")
def test_an_idle_pass_that_is_told_of_all_asks_for_nothing(engine, reconciler, queries):
    reconciler(notifications=Notifications()).start()
    eventually(lambda: len(engine.recovered) > 20)
    assert sorted(queries) == ["drop", "next_chore"]


@pytest.fixture
def far_sighted(monkeypatch):
    """Let the reconciler rely on what it is told for as long as the test takes."""
    monkeypatch.setattr(reconciler_module, "LONGEST_BLINDNESS", 3600.0)


@pytest.mark.usefixtures("far_sighted")
@pytest.mark.parametrize("changes", [["run1"], None])
def test_the_store_is_asked_again_after_a_change(store, engine, reconciler, queries, changes):
    notifications = Notifications()
    reconciler(notifications=notifications).start()
    eventually(lambda: len(engine.recovered) > 10)
    run, gone = root(store), ended(store)
    notifications.deliver(CHANGES, changes)
    eventually(lambda: [run.job_id] in engine.recovered)
    eventually(lambda: queries.count("drop") == 2)
    assert store.run(gone.id)


@pytest.mark.usefixtures("far_sighted")
def test_a_prompt_expires_when_that_was_foreseen(store, engine, reconciler):
    run, prompt = asked(store, now() + timedelta(seconds=0.2))
    reconciler(notifications=Notifications()).start()
    eventually(lambda: engine.woken == [f"{run.id}.2"])
    assert not store.prompt(prompt.id).is_open


@pytest.mark.usefixtures("far_sighted")
def test_a_lease_that_lapses_is_found_without_being_told(store, engine, reconciler):
    run = begun(store)
    store._put(replace(store.run(run.id), due_at=now() + timedelta(seconds=0.2)))
    reconciler(notifications=Notifications()).start()
    eventually(lambda: [run.job_id] in engine.recovered)


def test_what_was_not_told_is_found_before_a_lease_can_lapse(store, engine, reconciler, monkeypatch):
    assert LEASE.total_seconds() > reconciler_module.LONGEST_BLINDNESS
    monkeypatch.setattr(reconciler_module, "LONGEST_BLINDNESS", 0.1)
    reconciler(notifications=Notifications()).start()
    run = root(store)
    eventually(lambda: [run.job_id] in engine.recovered)


@pytest.mark.usefixtures("far_sighted")
def test_sessions_to_be_held_are_looked_for_as_servers_go(engine, reconciler, monkeypatch):
    looks = []
    monkeypatch.setattr(NothingHeld, "look", lambda _: looks.append(1))
    reconciler(notifications=Notifications()).start()
    eventually(lambda: len(engine.recovered) > 20)
    assert len(looks) == 1
    engine.peers = frozenset({"srv1"})
    eventually(lambda: len(looks) == 2)


@pytest.mark.usefixtures("far_sighted")
def test_the_store_is_asked_again_after_a_failure(store, engine, reconciler):
    run, answers = root(store), [OSError()]
    next_chore = store.next_chore

    def failing_once():
        if answers:
            raise answers.pop()
        return next_chore()

    store.next_chore = failing_once
    reconciler(notifications=Notifications()).start()
    eventually(lambda: [run.job_id] in engine.recovered)


def test_the_engine_is_asked_even_if_nothing_is_due(engine, reconciler):
    reconciler().start()
    eventually(lambda: len(engine.recovered) > 2)


def test_an_expired_prompt_is_cancelled_and_wakes_its_session(store, engine, reconciler):
    run, prompt = asked(store, now() - timedelta(seconds=1))
    _, later = asked(store, now() + timedelta(hours=1))
    _, never = asked(store, None)
    reconciler().start()
    assert store.prompt(prompt.id).cancelled_at is not None
    assert store.prompt(prompt.id).answered_by is None
    assert store.session(run.session_id).status is SessionStatus.ACTIVE
    assert engine.woken == [f"{run.id}.2"]
    assert store.prompt(later.id).is_open
    assert store.prompt(never.id).is_open


def test_a_prompt_may_expire_before_its_session_has_paused(store, engine, reconciler):
    run, _ = asked(store, now() - timedelta(seconds=1), paused=False)
    reconciler().start()
    assert engine.woken == [run.job_id]
    assert store.pause(run.id, run.fencing_token)


def test_all_prompts_that_are_late_expire_in_one_go(store, engine, reconciler, monkeypatch):
    monkeypatch.setattr(reconciler_module, "BATCH", 2)
    runs = [asked(store, now() - timedelta(seconds=1))[0] for _ in range(5)]
    reconciler(interval=1000).start()
    eventually(lambda: len(engine.woken) == len(runs))


def test_an_answer_in_the_last_moment_counts(store, engine, reconciler, caplog):
    _, prompt = asked(store, now() - timedelta(seconds=1))
    overdue = store.overdue(now(), 10)
    store.answer(prompt.id, saying(b"{}"), "usr1")
    store.overdue = lambda moment, limit: overdue
    reconciler().start()
    assert store.prompt(prompt.id).answered_by == "usr1"
    assert engine.woken == []
    assert caplog.text == ""


def test_only_the_runs_that_ended_last_are_kept(store, engine, reconciler):
    oldest, newest = ended(store), ended(store)
    reconciler(keep_ended=1).start()
    assert store.run(oldest.id) is None
    assert store.run(newest.id).status is RunStatus.SUCCEEDED


def test_one_pass_drops_all_that_is_too_much(store, engine, reconciler):
    ended_ones = [ended(store) for _ in range(5)]
    drop = store.drop
    dropped = []

    def drop_one(keep, before):
        dropped.extend(found := drop(keep + 3 - len(dropped), before) if len(dropped) < 4 else [])
        return found

    store.drop = drop_one
    reconciler(keep_ended=1, interval=1000).start()
    assert len(dropped) == 4
    assert [store.run(one.id) is None for one in ended_ones] == [True] * 4 + [False]


def test_no_run_is_kept_for_longer_than_keep_for(store, engine, reconciler):
    old, fresh = ended(store), ended(store)
    store._put(replace(store.run(old.id), ended_at=now() - timedelta(days=2)))
    waiting, _ = asked(store, None)
    reconciler(keep_for=timedelta(days=1)).start()
    assert store.run(old.id) is None
    assert store.run(fresh.id)
    assert store.run(waiting.id)


def test_uploads_that_are_left_over_are_dropped_bit_by_bit(store, reconciler, monkeypatch):
    left, bounds = [1, 4, 4], []

    def drop(before):
        bounds.append(before)
        return left.pop() if left else 0

    monkeypatch.setattr(store.uploads, "drop", drop)
    reconciler().start()
    assert left == []
    assert timedelta(hours=24) <= now() - bounds[0] < timedelta(hours=25)


def test_a_failing_duty_stops_no_other_and_is_logged_once(store, engine, reconciler, caplog):
    down = threading.Event()
    down.set()
    due = store.due
    looks = []

    def failing(before, limit):
        looks.append(before)
        if down.is_set():
            raise OSError("secret")
        return due(before, limit)

    store.due = failing
    _, prompt = asked(store, now() - timedelta(seconds=1))
    gone = ended(store)
    reconciler(keep_ended=0).start()
    assert not store.prompt(prompt.id).is_open
    assert store.run(gone.id) is None
    eventually(lambda: len(looks) > 5)
    assert caplog.text.count("cannot recover what is due: OSError") == 1
    down.clear()
    eventually(lambda: engine.recovered)
    down.set()
    eventually(lambda: caplog.text.count("cannot recover what is due: OSError") == 2)
    assert "secret" not in caplog.text


@pytest.mark.parametrize("method", ["overdue", "drop", "due"])
def test_the_other_duties_are_done_when_the_store_fails_in_one(store, engine, reconciler, method):
    def fail(*_):
        raise OSError

    run = root(store)
    _, prompt = asked(store, now() - timedelta(seconds=1))
    gone = ended(store)
    setattr(store, method, fail)
    reconciler(keep_ended=0).start()
    assert (not store.prompt(prompt.id).is_open) is (method != "overdue")
    assert (store.run(gone.id) is None) is (method != "drop")
    assert any(run.job_id in given for given in engine.recovered) is (method != "due")


def test_a_stop_does_not_wait_for_the_interval(reconciler):
    one = reconciler(interval=1000)
    one.start()
    one.stop()


def test_a_reconciler_that_was_never_started_can_be_stopped(reconciler):
    reconciler().stop()


def test_a_session_lost_before_the_engine_knew_is_executed(store, reconciler):
    calls = []
    the_engine = StoreEngine(1)
    the_engine.open(lambda job_id, **_: bool(calls.append(job_id)), lambda: None)
    run = root(store)
    try:
        reconciler(engine=the_engine, interval=1000).start()
        eventually(lambda: calls == [run.job_id])
    finally:
        the_engine.close(5)


@pytest.mark.parametrize("membership", [None, Alone()])
def test_all_that_is_due_at_the_start_is_executed_in_one_go(store, reconciler, membership):
    runs = [root(store) for _ in range(250)]

    def work(job_id):
        run = store.begin(job_id.rpartition(".")[0], 1)
        store.finish(run.id, Outcome.succeeded(b"1"), run.fencing_token)
        return False

    the_engine = StoreEngine(2, membership)
    one = reconciler(engine=the_engine, interval=1000)
    the_engine.open(work, one.hurry)
    try:
        one.start()
        eventually(lambda: all(store.run(run.id).status is RunStatus.SUCCEEDED for run in runs))
    finally:
        the_engine.close(5)


def test_the_engine_does_not_begin_a_known_job_again():
    entered, leave, calls = threading.Event(), threading.Event(), []

    def work(job_id, **_):
        calls.append(job_id)
        entered.set()
        assert leave.wait(100)
        return False

    the_engine = StoreEngine(1)
    the_engine.open(work, lambda: None)
    the_engine.start("a.1")
    assert entered.wait(100)
    the_engine.start("b.1")
    the_engine.recover(["a.1", "b.1"])
    leave.set()
    eventually(lambda: not the_engine._states)
    assert calls == ["a.1", "b.1"]
    the_engine.close(5)
    the_engine.recover(["c.1"])
    with pytest.raises(Closing):
        the_engine.start("d.1")
    assert calls == ["a.1", "b.1"]
