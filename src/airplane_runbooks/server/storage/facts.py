"""Facts about a database as a whole, on which all of its servers must agree."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import Connection

from .database import Database
from .tables import FACTS


def settle_fact(database: Database, name: str, make: Callable[[], bytes]) -> bytes:
    """Return the fact of this name, the same on all servers; the first of them makes it. Raises DatabaseUnavailable."""

    def find(connection: Connection) -> bytes | None:
        return connection.scalar(sa.select(FACTS.c.value).where(FACTS.c.name == name))

    def find_or_add(connection: Connection) -> bytes:
        fact = find(connection)
        if fact is None:
            connection.execute(sa.insert(FACTS), {"name": name, "value": (fact := make())})
        return fact

    # servers that lose the race to add it are called again, and find it
    return database.query(find) or database.transact(find_or_add)
