"""Sealed values that a database holds, for a server to try its keys at when it starts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from .tables import IS_AT_WORK, RUNS
from .transactions import Transactor

_MOST = 100  # values of each kind, and roots whose steps are looked at
_NEWEST_RUNS = 500  # whose values are looked at, whether they have ended or not


class SealedValues(msgspec.Struct, frozen=True):
    """Some of the sealed values of a database.

    Attributes:
        needed: Values of sessions and tasks at work, and of their steps, which cannot go on without them.
        holds_any: Whether there are values at all, those of sessions that have ended among them.
    """

    needed: Sequence[bytes]
    holds_any: bool


def sample_sealed_values(database: Transactor) -> SealedValues:
    """Return some of the sealed values: of sessions and tasks at work and their steps, and whether there are others.

    Others are looked for among the newest runs alone. Raises DatabaseUnavailable.
    """

    def find(connection: Connection) -> SealedValues:
        found = [*connection.scalars(_OF_ROOTS), *connection.scalars(_OF_STEPS)]
        newest = connection.scalar(_NEWEST) or 0
        others = connection.scalar(_AMONG_NEWEST, {"since": newest - _NEWEST_RUNS})
        return SealedValues(list(dict.fromkeys(map(bytes, found))), bool(found) or others is not None)

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
_AMONG_NEWEST = (
    sa.select(RUNS.c.seq)
    .where(RUNS.c.seq > bindparam("since"), RUNS.c.sealed_values.is_not(None) | RUNS.c.sealed_output.is_not(None))
    .limit(1)
)
