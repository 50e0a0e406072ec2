"""States of many sessions, runs and prompts in one statement, for a server that may have missed changes of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from .statements import OPEN_PROMPTS_OF_ROOT
from .tables import IS_OPEN, PROMPTS, RUNS, SESSIONS
from .transactions import Transactor, reading

State = tuple[str, str | None, str | None]
"""Parts of a state for whose change callers wait: a status, the reason of a hold, and the open prompts."""

IS_WAITING = "waiting"


def join_ids(ids: Sequence[str]) -> str | None:
    """Return IDs in one text, None for none."""
    return ",".join(sorted(ids)) or None


class States:
    """Reads states from PostgreSQL. On other databases a server is alone, and misses nothing."""

    def __init__(self, database: Transactor) -> None:
        self.database = database

    @reading
    def read(self, connection: Connection, ids: Mapping[str, Sequence[str]]) -> Mapping[tuple[str, str], State]:
        """Return the states of objects by their kind and ID. Raises DatabaseUnavailable."""
        rows = connection.execute(_STATES, {kind: ids.get(kind, []) for kind in ("session", "run", "prompt")})
        return {
            (kind, object_id): (status, held, join_ids(waits.split(",")) if waits else None)
            for kind, object_id, status, held, waits in rows
        }


def _is_asked(column: sa.Column[str], kind: str) -> sa.ColumnElement[bool]:
    return column == sa.any_(bindparam(kind, type_=ARRAY(sa.Text)))


def _text(value: str | None) -> sa.ColumnElement[str]:
    return sa.cast(sa.literal(value), sa.Text)


_asks = sa.exists().where(PROMPTS.c.run_id == RUNS.c.id, IS_OPEN).correlate(RUNS)
_status_of_prompt = sa.case(
    (IS_OPEN, _text("open")), (PROMPTS.c.submitted_at.is_not(None), _text("submitted")), else_=_text("cancelled")
)
_STATES = sa.union_all(
    sa.select(_text("session"), SESSIONS.c.id, SESSIONS.c.status, RUNS.c.held, OPEN_PROMPTS_OF_ROOT)
    .join(RUNS, RUNS.c.id == SESSIONS.c.run_id)
    .where(_is_asked(SESSIONS.c.id, "session")),
    sa.select(_text("run"), RUNS.c.id, RUNS.c.status, _text(None), sa.case((_asks, _text(IS_WAITING)))).where(
        _is_asked(RUNS.c.id, "run")
    ),
    sa.select(_text("prompt"), PROMPTS.c.id, _status_of_prompt, sa.case((IS_OPEN, RUNS.c.held)), _text(None))
    .join(RUNS, RUNS.c.id == PROMPTS.c.root_id)
    .where(_is_asked(PROMPTS.c.id, "prompt")),
)
