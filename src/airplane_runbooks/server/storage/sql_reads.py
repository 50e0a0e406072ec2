"""Reads of the store in a database: one query each, but for lists of IDs, which are read in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ...models import SessionStatus
from . import statements as sql
from .interface import EntryQuery, RunQuery, SessionQuery, Window
from .log_lines import LogChunk, decode_lines
from .prepared import fetch, first
from .records import Prompt, Run, Session, SessionEntry
from .rows import (
    ENDED_ROWS,
    LEAN_ROWS,
    PROMPT_ROWS,
    RUN_ROWS,
    SESSION_ROWS,
    from_microseconds,
    to_microseconds,
)
from .transactions import Transactor, reading

_LAST = 2**63 - 1  # place after all others
_BATCH = 200  # runs that are read at a time


class SqlReads:
    """Reads of a store in a database. All methods raise DatabaseUnavailable."""

    database: Transactor
    may_take_over: Callable[[], bool]

    @reading
    def gone(self, connection: Connection, fencing_tokens: Mapping[str, int]) -> Collection[str]:
        """Return the IDs of those root runs that have ended or been begun again since they had these fencing tokens."""
        present = fetch(connection, sql.PRESENT, {"ids": list(fencing_tokens)})
        return fencing_tokens.keys() - {run_id for run_id, token in present if token == fencing_tokens[run_id]}

    @reading
    def history(self, connection: Connection, run_id: str) -> Sequence[Run]:
        """Return the runs of a root run's steps and prompts in the order of their start."""
        return [RUN_ROWS.read(row) for row in fetch(connection, sql.HISTORY, {"key": run_id})]

    @reading
    def outline(self, connection: Connection, run_id: str) -> Sequence[Run]:
        """Return what `history` does without what the runs hold."""
        return [LEAN_ROWS.read(row) for row in fetch(connection, sql.OUTLINE, {"key": run_id})]

    @reading
    def brief(self, connection: Connection, run_ids: Sequence[str]) -> Sequence[Run]:
        """Return these runs in any order, without what is too long for a list."""
        rows = (row for ids in _batches(run_ids) for row in fetch(connection, sql.BRIEF_RUNS, {"ids": ids}))
        return [RUN_ROWS.read(row) for row in rows]

    @reading
    def due(self, connection: Connection, before: datetime, limit: int) -> Sequence[Run]:
        """Return root runs that have been due since before then, those that have waited longest first.

        Those whose lease has lapsed are left out as long as their owners may not have had the time to renew it.
        """
        values = {"before": to_microseconds(before), "limit": limit}
        statement = sql.DUE if self.may_take_over() else sql.DUE_WITHOUT_OWNER
        return [LEAN_ROWS.read(row) for row in fetch(connection, statement, values)]

    @reading
    def next_chore(self, connection: Connection) -> datetime | None:
        """Return the moment after which `due` or `overdue` return something, as things are; None if they never do."""
        moments = [moment for moment in first(connection, sql.NEXT_CHORES) or () if moment is not None]
        return from_microseconds(min(moments)) if moments else None

    @reading
    def held(self, connection: Connection, why: str | None, limit: int) -> Sequence[Run]:
        """Return root runs that are held for this reason, or for any if it is None."""
        if why is None:
            rows = fetch(connection, sql.HELD_FOR_ANY_REASON, {"limit": limit})
        else:
            rows = fetch(connection, sql.HELD, {"why": why, "limit": limit})
        return [LEAN_ROWS.read(row) for row in rows]

    @reading
    def overdue(self, connection: Connection, moment: datetime, limit: int) -> Sequence[str]:
        """Return the IDs of open prompts that should have been answered before then."""
        return [row[0] for row in fetch(connection, sql.OVERDUE, {"before": to_microseconds(moment), "limit": limit})]

    @reading
    def session(self, connection: Connection, session_id: str) -> Session | None:
        """Return a session."""
        row = first(connection, sql.GET_SESSION, {"key": session_id})
        return None if row is None else SESSION_ROWS.read(row)

    @reading
    def session_with_root(self, connection: Connection, session_id: str) -> tuple[Session, Run, Sequence[str]] | None:
        """Return a session, its root run, and the sorted IDs of its open prompts."""
        row = first(connection, sql.GET_SESSION_WITH_ROOT, {"key": session_id})
        if row is None:
            return None
        width = len(SESSION_ROWS.columns)
        open_prompts = sorted(row[-1].split(",")) if row[-1] else []
        return SESSION_ROWS.read(row[:width]), ENDED_ROWS.read(row[width:-1]), open_prompts

    @reading
    def run(self, connection: Connection, run_id: str) -> Run | None:
        """Return a run."""
        return load_run(connection, run_id)

    @reading
    def prompt(self, connection: Connection, prompt_id: str) -> Prompt | None:
        """Return a prompt."""
        return _prompt(connection, prompt_id)

    @reading
    def sessions(self, connection: Connection, query: SessionQuery) -> Sequence[Session]:
        """Return a page of sessions, newest first."""
        filters = _filters(query, runbook_id=query.runbook_id, status=query.status)
        rows = fetch(connection, sql.list_sessions(filters), {**filters, **_bounds(query)})
        return [SESSION_ROWS.read(row) for row in rows]

    @reading
    def session_entries(self, connection: Connection, query: EntryQuery) -> Sequence[SessionEntry]:
        """Return part of the sessions as a search reads them, newest first."""
        equal = {"runbook_id": query.runbook_id, "status": query.status}
        filters = {name: value for name, value in equal.items() if value is not None}
        before = _LAST if query.before is None else query.before
        values = {**filters, "before": before, "limit": query.limit}
        return [_entry(row) for row in fetch(connection, sql.list_entries(frozenset(filters)), values)]

    @reading
    def runs(self, connection: Connection, query: RunQuery) -> Sequence[Run]:
        """Return a page of runs, newest first."""
        filters = _filters(
            query,
            task_id=query.task_id,
            task_slug=query.task_slug,
            session_id=query.session_id,
            env_slug=query.env_slug,
        )
        rows = fetch(connection, sql.list_runs(filters), {**filters, **_bounds(query)})
        return [RUN_ROWS.read(row) for row in rows]

    @reading
    def prompt_with_session(self, connection: Connection, prompt_id: str) -> tuple[Prompt, Session, Run] | None:
        """Return a prompt, its session, and the root run of both as `outline` would."""
        row = first(connection, sql.GET_PROMPT_WITH_SESSION, {"key": prompt_id})
        if row is None:
            return None
        end = len(PROMPT_ROWS.columns)
        until = end + len(SESSION_ROWS.columns)
        return PROMPT_ROWS.read(row[:end]), SESSION_ROWS.read(row[end:until]), LEAN_ROWS.read(row[until:])

    def prompts(self, *run_ids: str) -> Sequence[Prompt]:
        """Return the prompts of these runs, the newest of each run first."""
        return self._prompts(run_ids) if run_ids else []

    @reading
    def log_chunks(self, connection: Connection, run_id: str, since: int, limit: int) -> Sequence[LogChunk]:
        """Return the log of a run from this chunk on, the oldest first."""
        return _log_chunks(fetch(connection, sql.LOG_CHUNKS, {"key": run_id, "since": since, "limit": limit}))

    @reading
    def latest_log_chunks(self, connection: Connection, root_id: str, limit: int) -> Sequence[LogChunk]:
        """Return the latest chunks of the logs of all steps of a root run, the oldest first."""
        return _log_chunks(fetch(connection, sql.LATEST_LOG_CHUNKS, {"key": root_id, "limit": limit})[::-1])

    def open_prompts(self, *root_ids: str) -> Sequence[Prompt]:
        """Return the open prompts of at most 200 root runs, newest first."""
        return self._open_prompts(root_ids) if root_ids else []

    @reading
    def _open_prompts(self, connection: Connection, root_ids: Sequence[str]) -> Sequence[Prompt]:
        rows = fetch(connection, sql.OPEN_PROMPTS_OF_ROOTS, {"ids": list(root_ids)})
        return [PROMPT_ROWS.read(row) for row in rows]

    @reading
    def _prompts(self, connection: Connection, run_ids: Sequence[str]) -> Sequence[Prompt]:
        rows = (row for ids in _batches(run_ids) for row in fetch(connection, sql.PROMPTS_OF_RUNS, {"ids": ids}))
        return [PROMPT_ROWS.read(row) for row in rows]


def _batches(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (run_ids[start : start + _BATCH] for start in range(0, len(run_ids), _BATCH))


def _log_chunks(rows: Sequence[Sequence[Any]]) -> Sequence[LogChunk]:
    return [LogChunk(run_id, at, decode_lines(lines)) for run_id, at, lines in rows]


def _entry(row: Sequence[Any]) -> SessionEntry:
    entry = SessionEntry(*row)
    return entry._replace(status=SessionStatus(entry.status), created_at=from_microseconds(row[-2]))


def load_run(connection: Connection, run_id: str) -> Run | None:
    """Return a run, None if there is none."""
    row = first(connection, sql.GET_RUN, {"key": run_id})
    return None if row is None else RUN_ROWS.read(row)


def _prompt(connection: Connection, prompt_id: str) -> Prompt | None:
    row = first(connection, sql.GET_PROMPT, {"key": prompt_id})
    return None if row is None else PROMPT_ROWS.read(row)


def _filters(window: Window, **equal: str | None) -> dict[str, Any]:
    bounds = {"since": window.since, "until": window.until}
    moments = {name: to_microseconds(moment) for name, moment in bounds.items() if moment is not None}
    return {**moments, **{name: value for name, value in equal.items() if value is not None}}


def _bounds(window: Window) -> dict[str, int]:
    return {"limit": window.limit, "offset": window.page * window.limit}
