"""The plans of the store's statements: each finds its rows by an index, and each index is there for a statement."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from itertools import chain, combinations
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors

from airplane_runbooks.models import RunStatus, SessionStatus
from airplane_runbooks.server.storage import statements
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.records import Prompt, Run, RunKind, Session
from airplane_runbooks.server.storage.rows import PROMPT_ROWS, RUN_ROWS, SESSION_ROWS, to_microseconds
from airplane_runbooks.server.storage.tables import METADATA, PROMPTS, RUNS, SESSIONS

ROWS = 500  # sessions, each with a run for itself and one for a prompt; all filters but one find a single one of them
MODULES = (
    "statements",
    "holds",
    "backups",
    "census",
    "sql_idempotency",
    "sign_outs",
    "uploads",
    "deliveries",
    "sealed_values",
)
PARTS = {"_lean", "_all"}  # of other statements
AT_STARTS = {"sql_idempotency._END_LEASES"}  # executed once by a server, and therefore without an index
START = now() - timedelta(days=30)

# Values of the statements' parameters, most of them those of one session.
VALUES = {
    "key": "run7",
    "since": 0,
    "ids": ["run7"],
    "tokens": [("run7", 1)],
    "limit": 25,
    "offset": 0,
    "before": to_microseconds(START - timedelta(days=1)),
    "of_fencing_token": 1,
    "counted": 1,
    "other": "Active",
    "active": "Active",
    "waiting": "Waiting",
    "of_root": "run7",
    "of_kind": "runbook",
    "of_task": "tsk7",
    "of_source": "source",
    "but": "replay",
    "why": "restored",
    "moment": to_microseconds(START),
    "the_key": "key",
    "former_key": "former",
    "latest": 1.0,
    "the_id": "sign-in",
    "user": "usr7",
    "at": 0,
    "targets": ["slack"],
    "of_session": "ses7",
    "run": "run7",
    "first": 1.0,
    "seeds": ["7"],
}
RUN_FILTERS = {
    "since": to_microseconds(START + timedelta(hours=ROWS - 2)),
    "until": to_microseconds(START + timedelta(hours=2)),
    "task_id": "tsk7",
    "task_slug": "slug7",
    "session_id": "ses7",
    "env_slug": "env7",
}
SESSION_FILTERS = {
    **{name: RUN_FILTERS[name] for name in ("since", "until")},
    "runbook_id": "tsk7",
    "status": "Waiting",
}

# The indexes by which statements find their rows, where it is not the one of an ID.
USED = {
    "statements.GET_SESSION_WITH_ROOT": "runbook_prompts_by_parent_id",
    "statements.HISTORY": "runbook_runs_by_parent_id",
    "statements.OUTLINE": "runbook_runs_by_parent_id",
    "statements.CHANGE_UNENDED_CHILDREN": "runbook_runs_by_parent_id",
    "statements.CHANGE_OPEN_PROMPTS": "runbook_prompts_by_parent_id",
    "statements.WAIT_FOR_PROMPT": "runbook_prompts_by_parent_id",
    "statements.LATEST_LOG_CHUNKS": "runbook_runs_by_parent_id",
    "statements.PROMPTS_OF_RUNS": "runbook_prompts_by_run_id",
    "statements.OPEN_PROMPTS_OF_ROOTS": "runbook_prompts_by_parent_id",
    "statements.END_LEASES": "runbook_runs_by_due_at",
    "statements.DUE": "runbook_runs_by_due_at",
    "statements.DUE_WITHOUT_OWNER": "runbook_runs_by_due_at",
    "statements.NEXT_CHORES": "runbook_runs_by_due_at",
    "statements.OVERDUE": "runbook_prompts_by_expires_at",
    "statements.EXTEND_PROMPTS": "runbook_prompts_by_parent_id",
    "statements.HELD": "runbook_runs_by_due_at",
    "statements.HELD_FOR_ANY_REASON": "runbook_runs_by_due_at",
    "statements.NEWEST_TO_DROP": "runbook_runs_by_ended_at",
    "statements.FIRST_ENDED": "runbook_runs_by_ended_at",
    "statements.LOCK_FIRST_ENDED": "runbook_runs_by_ended_at",
    "holds._UNFINISHED": "runbook_runs_by_due_at",
    "holds._HELD": "runbook_runs_by_due_at",
    "holds._LET_GO": "runbook_runs_by_due_at",
    "census._CENSUS": "runbook_runs_by_due_at",
    "sealed_values._OF_ROOTS": "runbook_runs_by_due_at",
    "sealed_values._OF_STEPS": "runbook_runs_by_parent_id",
    "backups._HOLD_ALL": "runbook_runs_by_due_at",
    "sql_idempotency._CLEAN": "runbook_keys_by_since",
    "sign_outs._CLEAN": "runbook_sign_outs_by_until",
    "uploads._ROOM_TAKEN": "runbook_uploads_by_created_by",
    "uploads._ROOM_OF_USER": "runbook_uploads_by_created_by",
    "uploads._LEFT_OVER": "runbook_uploads_by_created_at",
    "uploads._DELETE": "runbook_upload_uses_by_upload_id",
    "deliveries._NEXT_DUE": "runbook_deliveries_by_due_at",
    "deliveries._LOCK_DUE": "runbook_deliveries_by_due_at",
    "deliveries._LOCK_UNKNOWN": "runbook_deliveries_by_due_at",
    "deliveries._END_LEASES": "runbook_deliveries_by_due_at",
    "deliveries._WAITING": "runbook_deliveries_by_due_at",
    "deliveries._COUNT_WAITING": "runbook_deliveries_by_due_at",
    "deliveries._GIVEN_UP": "runbook_deliveries_by_given_up_at",
    "deliveries._COUNT_GIVEN_UP": "runbook_deliveries_by_given_up_at",
    "deliveries._REMOVE_OLD": "runbook_deliveries_by_given_up_at",
    "deliveries._REMOVE_OF_SESSION": "runbook_deliveries_by_session_id",
    "sql_idempotency._FORGET": "runbook_keys_by_since",
    "statements.SEEDS_OF_ANSWERS": "runbook_prompts_by_parent_id",
    "runs by session_id": "runbook_runs_by_parent_id",
    "runs by task_id": "runbook_runs_by_task_id",
    "runs by task_slug": "runbook_runs_by_slug",
    "sessions by runbook_id": "runbook_sessions_by_runbook_id",
    "entries by runbook_id": "runbook_sessions_by_runbook_id",
}
USED_ON = {
    "sqlite": {
        "runs by since": "runbook_runs_by_seq",
        "runs by until": "runbook_runs_by_seq",
        "runs by env_slug": "runbook_runs_by_seq",
        "sessions by since": "runbook_sessions_by_seq",
        "sessions by until": "runbook_sessions_by_seq",
        "sessions by status": "runbook_sessions_by_seq",
        "entries by status": "runbook_sessions_by_seq",
    },
    "postgresql": {
        "runs by since": "runbook_runs_by_updated_at",
        "runs by until": "runbook_runs_by_updated_at",
        "runs by env_slug": "runbook_runs_by_env_slug",
        "sessions by since": "runbook_sessions_by_updated_at",
        "sessions by until": "runbook_sessions_by_updated_at",
        "sessions by status": "runbook_sessions_by_status",
        "entries by status": "runbook_sessions_by_status",
    },
}


class Plan(NamedTuple):
    """Names of the indexes that a statement uses, and of the tables that it reads as a whole."""

    indexes: set[str]
    whole: set[str]


class Explain(sa.sql.expression.Executable, sa.sql.expression.ClauseElement):
    """The question for the plan of a SELECT."""

    inherit_cache = False

    def __init__(self, select):
        self.select = select


@compiles(Explain)
def explain(element, compiler, **options):
    words = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}[compiler.dialect.name]
    return f"{words} {compiler.process(element.select, **options)}"


def all_statements():
    """Yield the name, the SELECT and the values of each statement. A change finds its rows as a SELECT would."""
    for module in MODULES:
        for name, found in vars(import_module(f"airplane_runbooks.server.storage.{module}")).items():
            if isinstance(found, sa.Update | sa.Delete):
                yield f"{module}.{name}", sa.select(found.table).where(found.whereclause), VALUES
            elif isinstance(found, sa.Select) and name not in PARTS:
                yield f"{module}.{name}", found, VALUES
    for filters in subsets(RUN_FILTERS):
        yield f"runs by {' and '.join(filters)}", statements.list_runs(filters), {**VALUES, **filters}
    for filters in subsets(SESSION_FILTERS):
        yield f"sessions by {' and '.join(filters)}", statements.list_sessions(filters), {**VALUES, **filters}
    for filters in subsets({name: SESSION_FILTERS[name] for name in ("runbook_id", "status")}):
        name = f"entries by {' and '.join(filters)}"
        yield name, statements.list_entries(frozenset(filters)), {**VALUES, **filters, "before": 2**63 - 1}


def subsets(filters):
    """Yield none of the filters, each, each pair, and all."""
    for some in chain.from_iterable(combinations(filters, count) for count in (0, 1, 2, len(filters))):
        yield {name: filters[name] for name in some}


def plan(connection, select, values):
    """Return the plan. Each parameter must have a value."""
    names = {bind.key for bind in visitors.iterate(select) if isinstance(bind, sa.BindParameter) and bind.required}
    rows = connection.execute(Explain(select), {name: values[name] for name in names})
    lines = "\n".join(str(row[-1]).strip() for row in rows)
    if connection.dialect.name == "sqlite":
        return Plan(
            set(re.findall(r"INDEX (\w+)", lines)), set(re.findall(r"^SCAN (runbook_\w+)$", lines, re.MULTILINE))
        )
    used = re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", lines)
    return Plan(set(used), set(re.findall(r"Seq Scan on (\w+)", lines)))


def rows():
    """Yield a session, its two runs and its prompt, so many times."""
    for number in range(ROWS):
        moment = START + timedelta(hours=number)
        times = {"created_at": moment, "updated_at": moment}
        waits, names = number % 50 == 7, {"task_id": f"tsk{number}", "slug": f"slug{number}", "name": "name"}
        ended = {} if waits else {"status": RunStatus.SUCCEEDED, "ended_at": moment}
        common = {**names, **times, **ended, "session_id": f"ses{number}", "env_slug": f"env{number}"}
        status = SessionStatus.WAITING if waits else SessionStatus.SUCCEEDED
        session = Session(
            id=f"ses{number}", run_id=f"run{number}", runbook_id=f"tsk{number}", name="name", status=status, **times
        )
        root = Run(id=f"run{number}", kind=RunKind.RUNBOOK, source="source", **common)
        child = Run(id=f"ask{number}", kind=RunKind.PROMPT, root_id=root.id, position="1", **common)
        expires = {"expires_at": moment + timedelta(days=99)} if waits else {"submitted_at": moment}
        yield (
            session,
            root,
            child,
            Prompt(id=f"prm{number}", run_id=child.id, root_id=root.id, description="?", **expires),
        )


def fill(connection):
    sessions, roots, children, prompts = zip(*rows(), strict=True)
    for table, form, records in (
        (RUNS, RUN_ROWS, [*roots, *children]),
        (SESSIONS, SESSION_ROWS, sessions),
        (PROMPTS, PROMPT_ROWS, prompts),
    ):
        connection.execute(sa.insert(table), [form.row(record) for record in records])


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request):
    url = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres").fresh()
    database = Database(url)
    if database.is_shared:  # PostgreSQL's plans depend on the rows, and SQLite's do not
        with database.write() as connection:
            fill(connection)
        with database.write() as connection:
            connection.exec_driver_sql("ANALYZE")
    yield database
    database.close()


@pytest.fixture(scope="module")
def plans(database):
    """Return the plans of all statements by their names."""
    with database.write() as connection:
        if database.is_shared:  # a few hundred rows are read as a whole unless that is forbidden
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return {name: plan(connection, select, values) for name, select, values in all_statements()}


def indexes(database):
    """Return the names of all indexes but those of IDs and other keys."""
    look = sa.inspect(database.sqlalchemy_engine)
    found = (index for table in METADATA.tables for index in look.get_indexes(table))
    return {index["name"] for index in found if not index.get("duplicates_constraint")}


def test_no_statement_reads_a_table_as_a_whole(plans):
    assert {name for name, found in plans.items() if found.whole} == AT_STARTS


def test_each_statement_finds_its_rows_by_its_index(plans, database):
    expected = USED | USED_ON[database.sqlalchemy_engine.dialect.name]
    assert {name: index for name, index in expected.items() if index not in plans[name].indexes} == {}


def test_each_index_serves_a_statement(plans, database):
    used = USED | USED_ON[database.sqlalchemy_engine.dialect.name]
    assert indexes(database) - set(used.values()) == set()


def test_the_runs_of_a_session_are_found_by_it_alone(plans):
    others = {"runbook_runs_by_task_id", "runbook_runs_by_slug", "runbook_runs_by_env_slug", "runbook_runs_by_seq"}
    lists = {name: found for name, found in plans.items() if name.startswith("runs by") and "session_id" in name}
    assert len(lists) == 1 + len(RUN_FILTERS.keys() - {"session_id"}) + 1  # alone, in pairs, and with all
    assert {name: found for name, found in lists.items() if found.indexes & others} == {}
