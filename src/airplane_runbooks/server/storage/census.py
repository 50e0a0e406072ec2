"""Counts of the sessions that have not ended. This reads all of them, and none of the others."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from ...models import SessionStatus
from .tables import IS_AT_WORK, RUNS, SESSIONS
from .transactions import Transactor


def count_sessions(database: Transactor) -> Mapping[tuple[SessionStatus, bool], int]:
    """Return how many sessions there are of each status, held or not. Raises DatabaseUnavailable."""

    def count(connection: Connection) -> Mapping[tuple[SessionStatus, bool], int]:
        return {(SessionStatus(status), bool(held)): number for status, held, number in connection.execute(_CENSUS)}

    return database.query(count)


_IS_HELD = RUNS.c.held.is_not(None)
_CENSUS = (
    sa.select(SESSIONS.c.status, _IS_HELD, sa.func.count())
    .select_from(RUNS)
    .join(SESSIONS, SESSIONS.c.run_id == RUNS.c.id)
    .where(IS_AT_WORK)
    .group_by(SESSIONS.c.status, _IS_HELD)
)
