"""The SQL of the store, each statement built once. What is one statement here is atomic on its own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from .encoding import NULL
from .records import LONGEST_SEARCHED
from .rows import (
    ASKING_ROWS,
    ENDED_COLUMNS,
    LEAN_ROWS,
    PROMPT_ROWS,
    RUN_ROWS,
    SESSION_ROWS,
)
from .tables import (
    HAS_ENDED,
    IS_OPEN,
    IS_UNFINISHED,
    LOGS,
    LONGEST_INDEXED,
    PROMPTS,
    RUNS,
    SESSIONS,
    is_short,
    on_postgres,
    unindexed,
)

KEY = bindparam("key", type_=RUNS.c.id.type)
LIMIT = bindparam("limit", type_=sa.BigInteger)
OFFSET = bindparam("offset", type_=sa.BigInteger)
BEFORE = bindparam("before", type_=sa.BigInteger)

GET_SESSION = sa.select(*SESSION_ROWS.columns).where(SESSIONS.c.id == KEY)
GET_RUN = sa.select(*RUN_ROWS.columns).where(RUNS.c.id == KEY)
GET_PROMPT = sa.select(*PROMPT_ROWS.columns).where(PROMPTS.c.id == KEY)
OPEN_PROMPTS_OF_ROOT = (
    sa.select(sa.func.aggregate_strings(PROMPTS.c.id, ","))
    .where(PROMPTS.c.root_id == RUNS.c.id, IS_OPEN)
    .correlate(RUNS)
    .scalar_subquery()
)
GET_SESSION_WITH_ROOT = (
    sa.select(*SESSION_ROWS.columns, *ENDED_COLUMNS, OPEN_PROMPTS_OF_ROOT)
    .select_from(SESSIONS)
    .join(RUNS, RUNS.c.id == SESSIONS.c.run_id)
    .where(SESSIONS.c.id == KEY)
)
SESSION_STATUS = sa.select(SESSIONS.c.status).where(SESSIONS.c.id == KEY)
HISTORY = sa.select(*RUN_ROWS.columns).where(RUNS.c.root_id == KEY).order_by(RUNS.c.seq)
BRIEF_RUNS = sa.select(*RUN_ROWS.brief).where(RUNS.c.id.in_(bindparam("ids", expanding=True)))
GET_PROMPT_WITH_SESSION = (
    sa.select(*PROMPT_ROWS.columns, *SESSION_ROWS.columns, *LEAN_ROWS.columns)
    .select_from(PROMPTS)
    .join(RUNS, RUNS.c.id == PROMPTS.c.root_id)
    .join(SESSIONS, SESSIONS.c.run_id == RUNS.c.id)
    .where(PROMPTS.c.id == KEY)
)
PROMPTS_OF_RUNS = (
    sa.select(*PROMPT_ROWS.columns)
    .where(PROMPTS.c.run_id.in_(bindparam("ids", expanding=True)))
    .order_by(PROMPTS.c.seq.desc())
)
LOG_CHUNKS = (
    sa.select(LOGS.c.run_id, LOGS.c.at, LOGS.c.lines)
    .where(LOGS.c.run_id == KEY, LOGS.c.at >= bindparam("since", type_=sa.BigInteger))
    .order_by(LOGS.c.at)
    .limit(LIMIT)
)
_latest_chunks = (  # by their keys alone, so that the lines of the others are not read
    sa.select(LOGS.c.run_id, LOGS.c.at)
    .join(RUNS, RUNS.c.id == LOGS.c.run_id)
    .where(RUNS.c.root_id == KEY)
    .order_by(LOGS.c.at.desc())
    .limit(LIMIT)
    .subquery("latest")
)
LATEST_LOG_CHUNKS = (
    sa.select(LOGS.c.run_id, LOGS.c.at, LOGS.c.lines)
    .join(_latest_chunks, (LOGS.c.run_id == _latest_chunks.c.run_id) & (LOGS.c.at == _latest_chunks.c.at))
    .order_by(LOGS.c.at.desc())
)
OPEN_PROMPTS_OF_ROOTS = (
    sa.select(*PROMPT_ROWS.columns)
    .where(PROMPTS.c.root_id.in_(bindparam("ids", expanding=True)), IS_OPEN)
    .order_by(PROMPTS.c.seq.desc())
)
# A writer of a session locks the row of its root run first, and so waits for nothing else.
_child = RUNS.alias()
_root_of_run = sa.select(_child.c.root_id).where(_child.c.id == KEY).scalar_subquery()
_lean = sa.select(*LEAN_ROWS.columns)
LOCK_RUN = _lean.where(RUNS.c.id == KEY).with_for_update()
LOCK_ROOT_OF_RUN = _lean.where(RUNS.c.id == sa.func.coalesce(_root_of_run, KEY)).with_for_update()
# All three, the root run first: what has been waited for is then read as it is now, and not as it was before
LOCK_PROMPT_WITH_ROOT = (
    sa.select(*PROMPT_ROWS.columns, SESSIONS.c.status, *ASKING_ROWS.columns)
    .select_from(RUNS)
    .join(PROMPTS, PROMPTS.c.root_id == RUNS.c.id)
    .join(SESSIONS, SESSIONS.c.run_id == RUNS.c.id)
    .where(PROMPTS.c.id == KEY)
    .with_for_update(of=[RUNS, PROMPTS, SESSIONS])
)
OUTLINE = _lean.where(RUNS.c.root_id == KEY).order_by(RUNS.c.seq)
GET_LEAN_RUN = _lean.where(RUNS.c.id == KEY)

# PostgreSQL's construct, which SQLite's compiler writes as well; one that is there already was added by this very call
ADD_RUN = postgresql.insert(RUNS).inline().on_conflict_do_nothing(index_elements=[RUNS.c.id])
ADD_SESSION = sa.insert(SESSIONS).inline()
ADD_PROMPT = postgresql.insert(PROMPTS).inline().on_conflict_do_nothing(index_elements=[PROMPTS.c.id])

ADD_LOG_CHUNK = postgresql.insert(LOGS).inline().on_conflict_do_nothing(index_elements=[LOGS.c.run_id, LOGS.c.at])

# The columns to be set are those of the values that come with the key.
CHANGE_RUN = sa.update(RUNS).where(RUNS.c.id == KEY)
EXCUSE = CHANGE_RUN.where(
    RUNS.c.fencing_token == bindparam("of_fencing_token"), RUNS.c.failed_starts == bindparam("counted")
)
RENEW = (
    sa.update(RUNS)
    .where(RUNS.c.leased, sa.tuple_(RUNS.c.id, RUNS.c.fencing_token).in_(bindparam("tokens", expanding=True)))
    .values(due_at=bindparam("until", type_=sa.BigInteger))
)
END_LEASES = (
    sa.update(RUNS)
    .where(RUNS.c.root_id.is_(None), RUNS.c.due_at.is_not(None), RUNS.c.leased)
    .values(due_at=bindparam("moment", type_=sa.BigInteger), leased=False)
)
CHANGE_UNENDED_RUN = CHANGE_RUN.where(RUNS.c.ended_at.is_(None))
CHANGE_UNENDED_CHILDREN = sa.update(RUNS).where(RUNS.c.root_id == KEY, RUNS.c.ended_at.is_(None))
CHANGE_PROMPT = sa.update(PROMPTS).where(PROMPTS.c.id == KEY)
CHANGE_OPEN_PROMPTS = sa.update(PROMPTS).where(PROMPTS.c.root_id == KEY, IS_OPEN)
MOVE_SESSION = sa.update(SESSIONS).where(SESSIONS.c.id == KEY, SESSIONS.c.status != bindparam("other"))
WAIT_FOR_PROMPT = sa.update(SESSIONS).where(
    SESSIONS.c.id == KEY,
    SESSIONS.c.status == bindparam("active"),
    sa.exists().where(PROMPTS.c.root_id == bindparam("of_root"), IS_OPEN),
)

PRESENT = sa.select(RUNS.c.id, RUNS.c.fencing_token).where(
    RUNS.c.id.in_(bindparam("ids", expanding=True)), RUNS.c.ended_at.is_(None)
)
DUE = _lean.where(RUNS.c.root_id.is_(None), RUNS.c.due_at < BEFORE).order_by(RUNS.c.due_at, RUNS.c.seq).limit(LIMIT)
DUE_WITHOUT_OWNER = DUE.where(~RUNS.c.leased)
OVERDUE = (
    sa.select(PROMPTS.c.id)
    .join(RUNS, RUNS.c.id == PROMPTS.c.root_id)
    .where(IS_OPEN, PROMPTS.c.expires_at < BEFORE, RUNS.c.held.is_(None))
    .order_by(PROMPTS.c.expires_at, PROMPTS.c.seq)
    .limit(LIMIT)
)
_first_due = (
    sa.select(RUNS.c.due_at)
    .where(RUNS.c.root_id.is_(None), RUNS.c.due_at.is_not(None))
    .order_by(RUNS.c.due_at, RUNS.c.seq)
    .limit(1)
)
_first_to_expire = (
    sa.select(PROMPTS.c.expires_at)
    .join(RUNS, RUNS.c.id == PROMPTS.c.root_id)
    .where(IS_OPEN, PROMPTS.c.expires_at.is_not(None), RUNS.c.held.is_(None))
    .order_by(PROMPTS.c.expires_at, PROMPTS.c.seq)
    .limit(1)
)
NEXT_CHORES = sa.select(_first_due.scalar_subquery(), _first_to_expire.scalar_subquery())

HELD = (
    _lean.where(IS_UNFINISHED, RUNS.c.held == bindparam("why", type_=sa.Text))
    .order_by(RUNS.c.due_at, RUNS.c.seq)
    .limit(LIMIT)
)
HELD_FOR_ANY_REASON = (
    _lean.where(IS_UNFINISHED, RUNS.c.held.is_not(None)).order_by(RUNS.c.due_at, RUNS.c.seq).limit(LIMIT)
)
EXTEND_PROMPTS = (  # NULL stays NULL
    sa.update(PROMPTS)
    .where(PROMPTS.c.root_id == KEY, IS_OPEN)
    .values(expires_at=PROMPTS.c.expires_at + bindparam("longer", type_=sa.BigInteger))
)

SEEDS_OF_ANSWERS = sa.select(PROMPTS.c.answered_seed).where(PROMPTS.c.root_id == KEY)
NEWEST_TO_DROP = (
    sa.select(RUNS.c.ended_at, RUNS.c.seq)
    .where(HAS_ENDED)
    .order_by(RUNS.c.ended_at.desc(), RUNS.c.seq.desc())
    .limit(1)
    .offset(OFFSET)
)
FIRST_ENDED = sa.select(RUNS.c.ended_at).where(HAS_ENDED).order_by(RUNS.c.ended_at).limit(1)
LOCK_FIRST_ENDED = (
    sa.select(RUNS.c.seq, *LEAN_ROWS.columns)
    .where(HAS_ENDED)
    .order_by(RUNS.c.ended_at, RUNS.c.seq)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
)
DELETE_RUNS = sa.delete(RUNS).where(RUNS.c.id.in_(bindparam("ids", expanding=True)))


_root = sa.select(SESSIONS.c.run_id).where(SESSIONS.c.id == bindparam("session_id")).scalar_subquery()
_IS_OF_SESSION = (RUNS.c.id == _root) | (RUNS.c.root_id == _root)

_FILTERS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "since": ("updated_at", operator.ge),
    "until": ("updated_at", operator.le),
    "runbook_id": ("runbook_id", operator.eq),
    "status": ("status", operator.eq),
    "task_id": ("task_id", operator.eq),
    "task_slug": ("slug", operator.eq),
    "env_slug": ("env_slug", operator.eq),
}
_ANY_LENGTH = frozenset({"task_slug", "env_slug"})


def list_sessions(filters: Mapping[str, Any]) -> sa.Select[Any]:
    """Select a page of sessions, newest first."""
    return _page(SESSIONS, frozenset(filters), frozenset())


@cache
def list_entries(filters: frozenset[str]) -> sa.Select[Any]:
    """Select part of the sessions as a search reads them, newest first."""
    part = sa.select(SESSIONS.c.seq).where(SESSIONS.c.seq < BEFORE).order_by(SESSIONS.c.seq.desc()).limit(LIMIT)
    for name in sorted(filters):
        part = part.where(SESSIONS.c[name] == bindparam(name, type_=SESSIONS.c[name].type))
    is_short = sa.func.length(SESSIONS.c.param_values) <= sa.literal_column(str(LONGEST_SEARCHED))
    values = sa.case((is_short, SESSIONS.c.param_values), else_=sa.literal(NULL, SESSIONS.c.param_values.type))
    names = ("id", "name", "runbook_id", "status", "created_by", "created_at")
    return (
        sa.select(SESSIONS.c.seq, RUNS.c.env_slug, *(SESSIONS.c[name] for name in names), values)
        .join_from(SESSIONS, RUNS, RUNS.c.id == SESSIONS.c.run_id)
        .where(SESSIONS.c.seq.in_(part))
        .order_by(SESSIONS.c.seq.desc())
    )


def list_runs(filters: Mapping[str, Any]) -> sa.Select[Any]:
    """Select a page of runs, newest first."""
    lengths = {name: len(on_postgres(filters[name])) for name in _ANY_LENGTH & filters.keys()}
    short = frozenset(name for name, length in lengths.items() if length <= LONGEST_INDEXED)
    return _page(RUNS, frozenset(filters), short)


@cache
def _page(table: sa.Table, filters: frozenset[str], short: frozenset[str]) -> sa.Select[Any]:
    page = sa.select(table.c.seq).order_by(table.c.seq.desc()).limit(LIMIT).offset(OFFSET)
    is_of_session = "session_id" in filters  # which SQLite cannot know to be the best of all filters
    if is_of_session:
        page = page.where(_IS_OF_SESSION)
    for name in sorted(filters & _FILTERS.keys()):
        column, compare = table.c[_FILTERS[name][0]], _FILTERS[name][1]
        value = bindparam(name, type_=column.type)
        page = page.where(compare(unindexed(column) if is_of_session else column, value))
        if name in short and not is_of_session:
            page = page.where(is_short(column))
    columns = SESSION_ROWS.brief if table is SESSIONS else RUN_ROWS.brief
    return sa.select(*columns).where(table.c.seq.in_(page)).order_by(table.c.seq.desc())
