from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from airplane_runbooks.models import Constraints, Parameter, ParameterType, Reviewers, RunStatus, SessionStatus
from airplane_runbooks.server.errors import Conflict, NotFound
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.interface import Answered, RunQuery, SessionQuery
from airplane_runbooks.server.storage.records import (
    Failure,
    Outcome,
    Prompt,
    Run,
    RunKind,
    Session,
    Suspect,
)
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.tables import RUNS
from tests.support.engines import saying
from tests.support.model_store import MemoryStore

DONE = Outcome.succeeded(b"1")
AGES_AGO = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC)


def run(run_id, kind=RunKind.RUNBOOK, root_id=None, **fields):
    fields = {"session_id": "s", "position": run_id if root_id else "", "slug": "a", "env_slug": "prod", **fields}
    return Run(id=run_id, kind=kind, root_id=root_id, task_id="t", name="A", **fields)


def prompt(prompt_id, run_id, root_id="r", **fields):
    return Prompt(id=prompt_id, run_id=run_id, root_id=root_id, description="?", **fields)


def add(store, run_id, **fields):
    """Add the root run and the session of this ID, `run_id` for the one and `s` + `run_id` for the other."""
    session_id = f"s{run_id}"
    session = Session(id=session_id, run_id=run_id, runbook_id="b", name="B")
    assert store.add(run(run_id, session_id=session_id, **fields), session)


@pytest.fixture(scope="module")
def on_postgres(postgres):
    """A database on PostgreSQL for all these tests, since making one takes its time."""
    url = postgres.fresh()
    database = Database(url)
    yield database
    database.close()
    postgres.drop(url)


@contextmanager
def opened(url):
    """Open a database, and close it in the end."""
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture(params=["model", "memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request, tmp_path):
    """A store with nothing in it."""
    if request.param == "model":
        yield MemoryStore()
    elif request.param == "postgres":
        database = request.getfixturevalue("on_postgres")
        with database.write() as connection:
            connection.execute(sa.delete(RUNS))
        yield SqlStore(database)
    else:
        with opened("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runbooks.db'}") as database:
            yield SqlStore(database)


@pytest.fixture
def store(empty):
    """A store with one session, asking its first question."""
    assert empty.add(run("r"), Session(id="s", run_id="r", runbook_id="b", name="B"))
    assert empty.begin("r", 1).status is RunStatus.ACTIVE
    assert empty.add_child(run("q", RunKind.PROMPT, "r"), 1, prompt("p", "q"))
    return empty


def status(store, session_id="s"):
    return store.session(session_id).status


def together(*calls):
    barrier = threading.Barrier(len(calls))

    def call(one):
        barrier.wait(10)
        try:
            return one()
        except Conflict as problem:
            return problem.code

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


def test_a_session_waits_while_its_prompt_is_open_and_is_active_from_the_answer_on(store):
    assert not store.pause("r", 1)
    assert status(store) is SessionStatus.WAITING
    assert store.begin("r", 1) is None
    store.answer("p", saying(b"{}"), "me")
    assert status(store) is SessionStatus.ACTIVE
    assert store.begin("r", 1) is None
    assert store.begin("r", 2).id == "r"


@pytest.mark.parametrize("values", [b"{}", None])
def test_an_answer_ahead_of_the_pause_is_not_lost(store, values):
    store.answer("p", saying(values), "me")
    assert store.run("r").answered_meanwhile
    assert store.pause("r", 1)
    assert status(store) is SessionStatus.ACTIVE
    assert not store.begin("r", 1).answered_meanwhile


def test_an_answer_ahead_of_the_pause_is_not_lost_though_another_prompt_is_open(store):
    assert store.add_child(run("q2", RunKind.PROMPT, "r"), 1, prompt("p2", "q2"))
    store.answer("p2", saying(b"{}"), "me")
    assert store.pause("r", 1)
    assert status(store) is SessionStatus.ACTIVE
    store.begin("r", 1)
    assert not store.pause("r", 2)
    assert status(store) is SessionStatus.WAITING


def test_a_cancellation_ahead_of_the_pause_is_not_lost(store):
    store.cancel("q", "me")
    assert status(store) is SessionStatus.CANCELLING
    assert store.pause("r", 1)
    assert store.begin("r", 1) is None
    assert status(store) is SessionStatus.CANCELLED


def test_a_cancelled_session_takes_no_steps_and_no_result(store):
    store.cancel("r", "me")
    assert not store.add_child(run("x", RunKind.STEP, "r"), 1)
    assert not store.finish("r", DONE, 1)
    assert status(store) is SessionStatus.CANCELLED
    assert store.run("r").output == b"null"


def test_the_end_of_a_session_cancels_what_is_still_open(store):
    assert store.finish("r", DONE, 1)
    assert status(store) is SessionStatus.SUCCEEDED
    assert store.run("q").status is RunStatus.CANCELLED
    assert store.prompt("p").cancelled_at is not None
    with pytest.raises(Conflict):
        store.answer("p", saying(b"{}"), "me")
    with pytest.raises(Conflict):
        store.cancel("r", "me")


def test_the_end_of_one_session_leaves_the_others_alone(store):
    add(store, "other")
    store.begin("other", 1)
    store.add_child(run("step", RunKind.STEP, "other"), 1)
    assert store.finish("r", DONE, 1)
    assert status(store, "sother") is SessionStatus.ACTIVE
    assert store.run("step").status is RunStatus.ACTIVE


def test_what_has_been_forgotten_is_left_in_peace(store):
    store.finish("r", DONE, 1)
    assert store.drop(1) == []
    assert [dropped.id for dropped in store.drop(0)] == ["r"]
    assert store.session("s") is store.run("r") is store.run("q") is store.prompt("p") is None
    assert store.begin("r", 1) is None
    assert not store.pause("r", 1)
    assert not store.finish("r", DONE, 1)
    assert not store.add_child(run("x", RunKind.STEP, "r"), 1)
    assert list(store.history("r")) == list(store.prompts("q")) == []


def test_whoever_has_been_overtaken_writes_nothing_any_more(store):
    assert store.add_child(run("x", RunKind.STEP, "r"), 1)
    again = run("x", attempt=2, param_values=b'{"a":2}', digests=b"2")
    assert store.begin("r", 1).fencing_token == 2
    assert not store.add_child(run("y", RunKind.STEP, "r"), 1)
    assert not store.attempt(again, 1)
    assert not store.finish("x", DONE, 1)
    assert not store.finish("r", DONE, 1)
    assert not store.pause("r", 1)
    store.release("r", 1)
    assert status(store) is SessionStatus.ACTIVE
    assert (store.run("r").segment, store.run("r").due_at) == (1, None)
    assert store.attempt(again, 2)
    begun = store.run("x")
    assert (begun.attempt, begun.param_values, begun.digests) == (2, b'{"a":2}', b"2")
    assert store.finish("x", DONE, 2)
    assert not store.attempt(again, 2)
    assert store.finish("r", DONE, 2)


def test_a_call_whose_answer_got_lost_may_be_repeated(store):
    step, question = run("x", RunKind.STEP, "r"), run("q2", RunKind.PROMPT, "r")
    again = run("x", attempt=2)
    for _ in range(2):
        assert store.add_child(step, 1)
        assert store.add_child(question, 1, prompt("p2", "q2"))
        assert store.attempt(again, 1)
    assert [one.id for one in store.history("r")] == ["q", "x", "q2"]
    assert [one.id for one in store.prompts("q2")] == ["p2"]
    assert store.run("x").attempt == 2
    assert store.finish("x", DONE, 1)
    assert store.finish("x", DONE, 1)
    assert not store.finish("x", Outcome.failed(Failure("E", "another")), 1)
    assert not store.pause("r", 1)
    assert not store.pause("r", 1)
    store.release("r", 1)
    store.answer("p", saying(b"{}"), "me")
    assert not store.pause("r", 1)
    assert status(store) is SessionStatus.ACTIVE
    store.release("r", 1)
    assert store.begin("r", 2).fencing_token == 2
    for _ in range(2):
        store.release("r", 2)
    assert store.begin("r", 3).fencing_token == 3
    assert store.finish("r", DONE, 3)
    assert store.finish("r", DONE, 3)
    assert not store.finish("r", DONE, 2)


def test_a_segment_left_to_others_is_due_as_one_of_its_own(store):
    assert store.due(now() + timedelta(1), 9) == []
    store.release("r", 1)
    (due,) = store.due(now() + timedelta(1), 9)
    assert due.job_id == "r.2"
    assert store.begin("r", 1) is None
    assert store.begin("r", 2).fencing_token == 2
    store.cancel("r", "me")
    store.release("r", 2)
    assert status(store) is SessionStatus.CANCELLED
    assert store.due(now() + timedelta(1), 9) == []


def test_failed_starts_count_begins_without_progress(store):
    assert [store.begin("r", 1).failed_starts for _ in range(3)] == [1, 2, 3]
    assert store.add_child(run("x", RunKind.STEP, "r"), 4)
    assert store.begin("r", 1).failed_starts == 4
    assert store.finish("x", DONE, 5)
    assert store.begin("r", 1).failed_starts == 1
    assert store.add_child(run("q2", RunKind.PROMPT, "r"), 6, prompt("p2", "q2"))
    assert store.begin("r", 1).failed_starts == 1
    store.answer("p2", saying(b"{}"), "me")
    assert store.begin("r", 1).failed_starts == 1
    store.release("r", 8)
    assert store.begin("r", 2).failed_starts == 1
    assert store.begin("r", 2).failed_starts == 2
    assert not store.pause("r", 10)
    store.answer("p", saying(b"{}"), "me")
    assert store.begin("r", 3).failed_starts == 1


def test_what_has_been_begun_in_vain_is_a_suspect_and_not_begun_beside_others(store):
    fencing_token = store.begin("r", 1, alone=False).fencing_token
    assert store.run("r").failed_starts == 1
    assert store.begin("r", 1, alone=False) == Suspect()
    assert store.run("r").fencing_token == fencing_token
    assert store.begin("r", 1).failed_starts == 2
    assert store.add_child(run("x", RunKind.STEP, "r"), fencing_token + 1)
    assert store.finish("x", DONE, fencing_token + 1)
    assert store.begin("r", 1, alone=False).failed_starts == 1


def test_a_beginning_that_is_excused_is_no_crash_however_often_it_is_said(store):
    begun = store.begin("r", 1)
    for _ in range(2):
        store.excuse([begun])
        assert store.run("r").failed_starts == 0
    again = store.begin("r", 1, alone=False)
    assert again.failed_starts == 1
    store.excuse([begun])
    assert store.run("r").failed_starts == 1
    store.excuse([])
    assert store.begin("r", 1, alone=False) == Suspect()


def test_of_a_root_run_that_has_been_released_only_steps_are_finished(store):
    fencing_token = store.begin("r", 1).fencing_token
    assert store.add_child(run("x", RunKind.STEP, "r"), fencing_token)
    store.release("r", fencing_token)
    assert store.finish("x", DONE, fencing_token)
    assert not store.attempt(msgspec.structs.replace(store.run("x"), attempt=2), fencing_token)
    assert not store.add_child(run("y", RunKind.STEP, "r"), fencing_token)
    assert not store.pause("r", fencing_token)
    assert not store.finish("r", DONE, fencing_token)
    assert store.begin("r", 2, alone=False).status is RunStatus.ACTIVE


def test_a_root_run_added_twice_is_there_once(empty):
    add(empty, "r")
    first = empty.run("r")
    assert not empty.add(run("r", source="else"), Session(id="other", run_id="r", runbook_id="b", name="B"))
    assert empty.run("r") == first
    assert empty.session("other") is None


def test_a_repeated_answer_with_the_same_seed_changes_nothing(store):
    first = store.answer("p", saying(b'{"a":1}', b"sealed"), "me", "seed")
    assert store.run("q").sealed_output == b"sealed"
    assert first.prompt == store.prompt("p")
    assert store.answer("p", saying(b'{"a":2}'), "you", "seed") == first
    for seed in ("", "another"):
        with pytest.raises(Conflict, match="submitted already"):
            store.answer("p", saying(b"{}"), "me", seed)


def test_a_repeated_cancellation_with_the_same_seed_changes_nothing(store):
    assert not store.pause("r", 1)
    first = store.cancel("q", "me", "seed")
    assert (first.id, first.status, first.cancelled_by, first.due_at) == ("r", RunStatus.CANCELLED, "me", None)
    assert store.cancel("q", "you", "seed") == store.cancel("r", "you", "seed") == first == store.run("r")
    assert status(store) is SessionStatus.CANCELLED
    for seed in ("", "another"):
        with pytest.raises(Conflict, match="Cancelled"):
            store.cancel("q", "me", seed)


def test_what_does_not_exist_cannot_be_changed(empty):
    with pytest.raises(NotFound, match="no prompt nope"):
        empty.answer("nope", saying(b"{}"), "me")
    with pytest.raises(NotFound, match="no run nope"):
        empty.cancel("nope", "me")
    assert empty.begin("nope", 1) is None
    assert not empty.attempt(run("nope"), 0)


def test_a_task_s_run_has_no_session(empty):
    assert empty.add(run("t", RunKind.TASK, session_id=None))
    assert empty.begin("t", 1).status is RunStatus.ACTIVE
    assert empty.finish("t", DONE, 1)
    assert empty.add(run("u", RunKind.TASK, session_id=None))
    assert empty.cancel("u", "me").status is RunStatus.CANCELLED
    assert empty.sessions(SessionQuery()) == []


PARAMETERS = (
    Parameter(slug="when", type=ParameterType.DATE, default="2024-05-06", secret=True),
    Parameter(slug="n", type=ParameterType.INTEGER, constraints=Constraints(options=[{"label": "1", "value": 1}])),
    Parameter(slug="all", type=ParameterType.LIST, values=Parameter(type=ParameterType.JSON)),
)


def test_every_field_is_kept_to_the_last_bit(empty):
    wide = "\N{SNOWMAN} ' \" \\ %s :key ?\n"
    kept = run(
        "r",
        param_values=b'{"a" :  1.0}',
        params=PARAMETERS,
        resources={"db": wide},
        created_at=AGES_AGO,
        updated_at=AGES_AGO,
        created_by=wide,
        sealed_values=b"\x00\xff",
        source=wide,
        trace_context="00-a\nb",
    )
    session = Session(
        id="s",
        run_id="r",
        runbook_id="b",
        name=wide,
        param_values=b" {}",
        params=PARAMETERS,
        created_at=AGES_AGO,
        updated_at=AGES_AGO,
    )
    assert empty.add(kept, session)
    assert empty.session("s") == session
    assert empty.run("r").due_at is not None
    (due,) = empty.due(now() + timedelta(1), 9)
    fields = {field: getattr(empty.run("r"), field) for field in kept.__struct_fields__ if field != "due_at"}
    assert fields == {field: getattr(kept, field) for field in fields}
    assert (due.id, due.source, due.param_values, due.params) == ("r", wide, b"{}", ())
    empty.begin("r", 1)
    asked = prompt(
        "p",
        "q",
        parameters=PARAMETERS,
        reviewers=Reviewers(users=("a@b",), allow_self_approvals=False),
        confirm_text=wide,
        cancel_text=wide,
        created_at=AGES_AGO,
        expires_at=AGES_AGO,
    )
    assert empty.add_child(run("q", RunKind.PROMPT, "r", created_at=AGES_AGO), 1, asked)
    assert empty.prompt("p") == asked
    assert empty.run("q").active_at == AGES_AGO
    assert empty.finish("r", Outcome.failed(Failure("KeyError", wide)), 1)
    assert empty.run("r").failure == Failure("KeyError", wide)


def test_a_failure_is_kept_whatever_is_in_its_message(empty):
    add(empty, "r")
    empty.begin("r", 1)
    assert empty.finish("r", Outcome.failed(Failure("KeyError", "a \ud800 and a \0")), 1)
    assert empty.run("r").failure.message in ("a \ud800 and a \0", "a ? and a \0")


def test_all_filters_hold_at_once(store):
    assert store.add_child(run("c", RunKind.STEP, "r", slug="step", env_slug="dev", updated_at=AGES_AGO), 1)
    given = {"session_id": "s", "task_id": "t", "task_slug": "step", "env_slug": "dev", "until": AGES_AGO}
    assert [one.id for one in store.runs(RunQuery(**given))] == ["c"]
    for name, other in {**dict.fromkeys(given, "x"), "until": AGES_AGO - timedelta(1)}.items():
        assert store.runs(RunQuery(**{**given, name: other})) == []


@pytest.mark.parametrize("text", ["\0", "a\0", "'", "%", "", "".join(map(chr, range(256, 9000)))])
def test_no_text_breaks_a_look_up(store, text):
    assert store.session(text) is store.run(text) is store.prompt(text) is None
    assert list(store.history(text)) == list(store.prompts(text)) == []
    assert store.sessions(SessionQuery(runbook_id=text)) == []
    assert store.runs(RunQuery(task_slug=text)) == store.runs(RunQuery(env_slug=text)) == []
    assert store.add_child(run("c", RunKind.STEP, "r", slug=text, env_slug=text), 1)
    for query in (RunQuery(task_slug=text), RunQuery(env_slug=text)):
        assert [one.id for one in store.runs(query)] == ["c"]
    assert store.runs(RunQuery(task_slug=text + "!")) == []


def test_history_is_in_the_order_of_the_start_whatever_the_positions(store):
    for position in ("9", "10", "1.2", "x"):
        assert store.add_child(run(f"c{position}", RunKind.STEP, "r", position=position), 1)
    assert [child.position for child in store.history("r")] == ["q", "9", "10", "1.2", "x"]


def test_prompts_are_listed_by_run(store):
    assert store.add_child(run("q2", RunKind.PROMPT, "r"), 1, prompt("p2", "q2"))
    assert [one.id for one in store.prompts("q")] == ["p"]
    assert [one.id for one in store.prompts("q2")] == ["p2"]


def test_what_waits_longest_for_an_engine_comes_first(empty):
    before = now()
    for number in range(5):
        add(empty, f"r{number}")
    after = now() + timedelta(1)
    empty.begin("r1", 1)
    assert [one.id for one in empty.due(after, 9)] == ["r0", "r2", "r3", "r4"]
    assert [one.id for one in empty.due(after, 2)] == ["r0", "r2"]
    assert empty.due(before, 9) == []
    empty.release("r1", 1)
    assert [one.job_id for one in empty.due(after, 9)][-1] == "r1.2"


def test_open_prompts_are_overdue_from_their_expiry_on(store):
    def ask(name, seconds):
        expiry = None if seconds is None else AGES_AGO + timedelta(seconds=seconds)
        assert store.add_child(run(f"q{name}", RunKind.PROMPT, "r"), 1, prompt(name, f"q{name}", expires_at=expiry))

    ask("never", None)
    ask("late", 2)
    ask("later", 3)
    ask("earliest", 1)
    ask("answered", 0)
    store.answer("answered", saying(None), "me")
    assert list(store.overdue(AGES_AGO + timedelta(seconds=3), 9)) == ["earliest", "late"]
    assert list(store.overdue(AGES_AGO + timedelta(seconds=9), 2)) == ["earliest", "late"]
    late = store.answer("late", saying(None), None)
    assert (late.prompt.answered_by, late.prompt.is_open) == (None, False)


def test_lists_are_newest_first_even_of_one_moment(empty):
    for number in range(7):
        run_id = f"r{number}"
        moments = {"created_at": AGES_AGO, "updated_at": AGES_AGO}
        session = Session(id=f"s{number}", run_id=run_id, runbook_id="ab"[number % 2], name="B", **moments)
        assert empty.add(run(run_id, env_slug="xy"[number % 2], session_id=session.id, **moments), session)

    def runs(**query):
        return [one.id[1:] for one in empty.runs(RunQuery(**query))]

    def sessions(**query):
        return [one.id[1:] for one in empty.sessions(SessionQuery(**query))]

    for list_of in (runs, sessions):
        assert list_of() == list("6543210")
        assert list_of(limit=3) == list("654")
        assert list_of(limit=3, page=2) == list("0")
        assert list_of(limit=50, page=1_000_000_000) == []
        assert list_of(since=AGES_AGO, until=AGES_AGO, limit=2) == list("65")
        assert list_of(since=AGES_AGO + timedelta(microseconds=1)) == []
        assert list_of(until=AGES_AGO - timedelta(microseconds=1)) == []
    assert sessions(runbook_id="b") == list("531")
    empty.begin("r3", 1)
    assert sessions(status=SessionStatus.ACTIVE) == sessions(status=SessionStatus.ACTIVE, runbook_id="b") == list("3")
    assert sessions(status=SessionStatus.PENDING, limit=2, page=1) == list("42")
    assert runs(env_slug="x", limit=2, page=1) == list("20")
    assert runs(env_slug="x", task_id="t", task_slug="a", session_id="s4") == list("4")
    assert runs(task_id="u") == runs(task_slug="b") == []


def test_the_root_runs_that_ended_first_are_dropped_first(empty):
    for number in range(5):
        add(empty, f"r{number}")
        assert empty.begin(f"r{number}", 1)
    for number in reversed(range(5)):
        time.sleep(0.001)  # apart by the clock, too
        assert empty.finish(f"r{number}", DONE, 1)
    add(empty, "unended")
    assert [one.id for one in empty.drop(3)] == ["r4", "r3"]
    assert empty.drop(3) == []
    assert empty.drop(3, empty.run("r2").ended_at) == []
    (dropped,) = empty.drop(3, empty.run("r1").ended_at)
    assert (dropped.id, dropped.job_id, dropped.output) == ("r2", "r2.1", b"null")
    assert [one.id for one in empty.drop(0)] == ["r1", "r0"]
    assert [one.id for one in empty.runs(RunQuery())] == ["unended"]


def test_dropping_takes_all_that_belongs_to_a_root_run_and_nothing_else(store):
    add(store, "other")
    store.begin("other", 1)
    store.add_child(run("oq", RunKind.PROMPT, "other"), 1, prompt("op", "oq", "other"))
    store.finish("r", DONE, 1)
    assert [one.id for one in store.drop(0)] == ["r"]
    assert [one.id for one in store.runs(RunQuery())] == ["oq", "other"]
    assert [one.id for one in store.sessions(SessionQuery())] == ["sother"]
    assert store.prompt("op").is_open


def test_of_many_answers_at_once_exactly_one_counts(store):
    store.pause("r", 1)
    answers = together(
        *(lambda number=number: store.answer("p", saying(b"%d" % number), str(number)) for number in range(12))
    )
    (winner,) = [one.prompt for one in answers if isinstance(one, Answered)]
    assert answers.count("prompt_already_answered") == 11
    assert winner == store.prompt("p")
    assert store.run("q").output == winner.values
    assert (store.run("r").segment, status(store)) == (2, SessionStatus.ACTIVE)


def test_an_answer_and_a_cancellation_at_once_agree_on_who_was_first(store):
    store.pause("r", 1)
    results = together(*[lambda: store.answer("p", saying(b"{}"), "me"), lambda: store.cancel("r", "me")] * 4)
    assert sum(isinstance(one, Run) for one in results) == 1
    answers = sum(isinstance(one, Answered) for one in results)
    assert answers == (store.prompt("p").submitted_at is not None)
    assert status(store) is (SessionStatus.CANCELLING if answers else SessionStatus.CANCELLED)


def test_of_many_who_begin_at_once_only_the_last_may_write(store):
    begun = together(*(lambda: store.begin("r", 1) for _ in range(8)))
    assert sorted(one.fencing_token for one in begun) == list(range(2, 10))
    ends = together(*(lambda fencing_token=one.fencing_token: store.finish("r", DONE, fencing_token) for one in begun))
    assert sorted(ends) == [False] * 7 + [True]


def test_of_many_who_add_one_root_run_at_once_one_does(empty):
    added = together(
        *(lambda: empty.add(run("r"), Session(id="s", run_id="r", runbook_id="b", name="B")) for _ in range(8))
    )
    assert sorted(added) == [False] * 7 + [True]


def test_many_sessions_at_once_do_not_get_in_each_other_s_way(empty):
    def live(number):
        run_id = f"r{number}"
        add(empty, run_id)
        fencing_token = empty.begin(run_id, 1).fencing_token
        for step in range(3):
            child = f"{run_id}.{step}"
            assert empty.add_child(run(child, RunKind.STEP, run_id, session_id=f"s{run_id}"), fencing_token)
            assert empty.finish(child, DONE, fencing_token)
        assert empty.runs(RunQuery(session_id=f"s{run_id}"))
        empty.drop(1000)
        return empty.finish(run_id, DONE, fencing_token)

    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(live, range(24)))
    assert len(empty.due(now() + timedelta(1), 99)) == 0
    assert {one.status for one in empty.runs(RunQuery())} == {RunStatus.SUCCEEDED}


def test_a_reader_of_a_file_does_not_wait_for_a_writer(tmp_path):
    with opened(f"sqlite:///{tmp_path / 'runbooks.db'}") as database:
        store = SqlStore(database)
        add(store, "r")
        with database.write(), ThreadPoolExecutor(1) as thread:
            assert thread.submit(store.run, "r").result(10).id == "r"
