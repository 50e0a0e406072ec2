"""The tables' version: new databases get today's tables, older ones are brought up to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from .database_errors import DatabaseTooNew
from .tables import METADATA, VERSIONS

Upgrade = Callable[[sa.Connection], None]

# From version 1 to 2, from 2 to 3, and so on. None is ever changed or removed; `tables` always has the last version.
UPGRADES: tuple[Upgrade, ...] = ()

_LOCK = 7261_4401  # an advisory lock of PostgreSQL's


def migrate(connection: sa.Connection, upgrades: Sequence[Upgrade] = UPGRADES) -> None:
    """Make or upgrade the tables, in the transaction that has begun. Raises DatabaseTooNew."""
    if connection.dialect.name == "postgresql":  # of servers that start together, one does it
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    newest = 1 + len(upgrades)
    if not sa.inspect(connection).has_table(VERSIONS.name):
        METADATA.create_all(connection)
        connection.execute(sa.insert(VERSIONS), {"version": newest})
        return
    version = connection.scalar(sa.select(VERSIONS.c.version)) or 0
    if version > newest:
        raise DatabaseTooNew(f"the database is of version {version}, and this package knows none after {newest}")
    for upgrade in upgrades[version - 1 :]:
        upgrade(connection)
    if version < newest:
        connection.execute(sa.update(VERSIONS), {"version": newest})
