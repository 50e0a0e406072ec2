"""Sessions that are held: why they are, and all of one code at once.

A held session is not executed, its prompts take no answer, and none of them expires. It can be cancelled. One that is
held because no server has its code goes on once one has it. One that is held since the database was restored goes on
once an operator lets it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from ...models import SessionStatus
from ..errors import Held
from .changes import note_change
from .ids import now
from .records import Run, RunKind
from .rows import LEAN_ROWS, to_microseconds
from .tables import (
    IS_OPEN,
    IS_UNFINISHED,
    PROMPTS,
    RUNS,
    SESSIONS,
    unindexed,
)
from .transactions import Transactor, reading, writing

OTHER_CODE = "code"  # what `held` says of a session whose code no server has
RESTORED = "restored"  # or that steps of it may have been executed that the database does not know of
_MISMATCH = "replay "  # or that it did not repeat its recorded steps with the code of this digest, and the message


def mismatch_mark(digest: str, mismatch: str = "") -> str:
    """Return what `held` says of a session that did not repeat, with the code of this digest, what it had done."""
    return f"{_MISMATCH}{digest} {mismatch}"


def why_held(run: Run) -> str | None:
    """Say why a session is held, None if it is not."""
    if run.held is None or run.status.is_terminal:
        return None
    if run.held == RESTORED:
        return (
            "the session is held: the database was restored from a backup, and what the session has done since that "
            "backup is unknown"
        )
    if run.held.startswith(_MISMATCH):
        mismatch = run.held.removeprefix(_MISMATCH).partition(" ")[2]
        return f"the session is held: the code of {run.slug} has changed since it was started, and {mismatch}"
    return f"the session is held: no server has the code of {run.slug} with which it was started"


def hold_code(run: Run) -> str:
    """Return the reason for which a session is held, for programs."""
    return "restored" if run.held == RESTORED else "code_changed"


def refusal(run: Run) -> Held:
    """Refuse an answer to a session that is held."""
    return Held(hold_code(run), why_held(run) or "the session is held")


class Kin(msgspec.Struct, frozen=True, kw_only=True):
    """Unfinished sessions and tasks of one code: how many there are, and how many of them are held for their code."""

    kind: RunKind
    task_id: str
    slug: str
    source: str
    count: int = 0
    held: int = 0


class Holds:
    """Holds all that wait of one code, and lets all go. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Transactor) -> None:
        self.database = database

    @reading
    def unfinished(self, connection: Connection) -> Sequence[Kin]:
        """Return what has not ended, by its code."""
        return [
            Kin(kind=RunKind(kind), task_id=task_id, slug=slug, source=source, count=count, held=held)
            for kind, task_id, slug, source, count, held in connection.execute(_UNFINISHED)
        ]

    @writing
    def hold(self, connection: Connection, kin: Kin) -> Sequence[Run]:
        """Hold those that wait for an answer, and return their root runs."""
        values = _values(kin)
        waiting = _lock(connection, _WAITING, values)
        connection.execute(_HOLD, {**values, "why": OTHER_CODE, "moment": to_microseconds(now())})
        return waiting

    @writing
    def let_go(self, connection: Connection, kin: Kin, digest: str) -> Sequence[Run]:
        """Let those go on that are held, and return their root runs.

        Those stay that did not repeat with the code of this digest what they did. The prompts of the others are given
        the time that they were held.
        """
        values = {**_values(kin), "but": mismatch_mark(digest), "moment": to_microseconds(now())}
        released = _lock(connection, _HELD, values)
        for statement in (_EXTEND, _LET_WAIT, _LET_GO):
            connection.execute(statement, values)
        return released


def _lock(connection: Connection, select: Any, values: Mapping[str, Any]) -> Sequence[Run]:
    """Lock root runs in order to change them, and note these changes."""
    runs = [LEAN_ROWS.read(row) for row in connection.execute(select, values)]
    for run in runs:
        note_change(connection, run.id)
    return runs


def _values(kin: Kin) -> dict[str, str]:
    waiting = SessionStatus.WAITING.value
    return {"of_kind": kin.kind.value, "of_task": kin.task_id, "of_source": kin.source, "waiting": waiting}


_code = (RUNS.c.kind, RUNS.c.task_id, RUNS.c.slug, RUNS.c.source)
_held_for_code = sa.func.count(sa.case((RUNS.c.held != RESTORED, 1)))
_UNFINISHED = sa.select(*_code, sa.func.count(), _held_for_code).where(IS_UNFINISHED).group_by(*_code)
_are_kin = (
    IS_UNFINISHED,
    RUNS.c.kind == bindparam("of_kind"),
    unindexed(RUNS.c.task_id) == bindparam("of_task"),  # its index would lead to all runs that have ended
    RUNS.c.source == bindparam("of_source"),
)
_are_held = (*_are_kin, RUNS.c.held != RESTORED, ~RUNS.c.held.startswith(bindparam("but", type_=sa.Text)))
_MOMENT = bindparam("moment", type_=sa.BigInteger)
_waits = sa.exists().where(SESSIONS.c.run_id == RUNS.c.id, SESSIONS.c.status == bindparam("waiting"))
_lean = sa.select(*LEAN_ROWS.columns)
_HELD = _lean.where(*_are_held).with_for_update()
_WAITING = _lean.where(*_are_kin, RUNS.c.held.is_(None), _waits).with_for_update()
_HOLD = (
    sa.update(RUNS)
    .where(*_are_kin, RUNS.c.held.is_(None), _waits)
    .values(held=bindparam("why", type_=sa.Text), updated_at=_MOMENT)
)
_since = sa.select(RUNS.c.updated_at).where(RUNS.c.id == PROMPTS.c.root_id).scalar_subquery()  # when it was held
_EXTEND = (
    sa.update(PROMPTS)
    .where(IS_OPEN, PROMPTS.c.expires_at.is_not(None), PROMPTS.c.root_id.in_(sa.select(RUNS.c.id).where(*_are_held)))
    .values(expires_at=PROMPTS.c.expires_at + (_MOMENT - _since))
)
_LET_WAIT = sa.update(RUNS).where(*_are_held, _waits).values(held=None, updated_at=_MOMENT)
_LET_GO = (
    sa.update(RUNS)
    .where(*_are_held, ~_waits)
    .values(held=None, segment=RUNS.c.segment + 1, due_at=_MOMENT, leased=False, updated_at=_MOMENT, failed_starts=0)
)
