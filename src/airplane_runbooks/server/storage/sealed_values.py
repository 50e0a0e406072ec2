"""Sealed values that a database holds, for a server to try its keys at when it starts."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from .tables import IS_AT_WORK, RUNS
from .transactions import Transactor

_MOST = 100  # values of each kind, and roots whose steps are looked at
_NEWEST_RUNS = 500  # whose values are looked at, whether they have ended or not


def sample_sealed_values(database: Transactor) -> Sequence[bytes]:
    """Return some of the sealed values: of sessions and tasks at work and their steps, and of the newest runs.

    What a database holds of older sessions, which have ended, is not looked for. Raises DatabaseUnavailable.
    """

    def find(connection: Connection) -> Sequence[bytes]:
        found = [*connection.scalars(_OF_ROOTS), *connection.scalars(_OF_STEPS)]
        newest = connection.scalar(_NEWEST) or 0
        for values in connection.execute(_OF_NEWEST, {"since": newest - _NEWEST_RUNS}):
            found += [value for value in values if value is not None]
        return list(dict.fromkeys(map(bytes, found)))

    return database.query(find)


_OF_ROOTS = sa.select(RUNS.c.sealed_values).where(IS_AT_WORK, RUNS.c.sealed_values.is_not(None)).limit(_MOST)

_STEPS = RUNS.alias("steps")
_OF_STEPS = (
    sa.select(_STEPS.c.sealed_output)
    .where(
        _STEPS.c.root_id.in_(sa.select(RUNS.c.id).where(IS_AT_WORK).limit(_MOST)),
        _STEPS.c.sealed_output.is_not(None),
    )
    .limit(_MOST)
)

_NEWEST = sa.select(sa.func.max(RUNS.c.seq))
_OF_NEWEST = (
    sa.select(RUNS.c.sealed_values, RUNS.c.sealed_output)
    .where(RUNS.c.seq > bindparam("since"), RUNS.c.sealed_values.is_not(None) | RUNS.c.sealed_output.is_not(None))
    .limit(_MOST)
)
