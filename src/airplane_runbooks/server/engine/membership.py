"""Membership of the servers on one PostgreSQL database: each announces its code in a row that it renews.

A lock would reveal dead servers, but not frozen ones, which keep theirs. A membership ends by the database's clock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from ..logs import describe
from ..storage.postgresql import keep_connections, keep_settings
from ..storage.tables import SERVER_LEASE, SERVERS

logger = logging.getLogger(__name__)

RENEWAL = 2.0  # seconds

# A renewal need not wait for the disk. One that hangs must end before the membership does.
_SETTINGS = {
    "synchronous_commit": "off",
    "statement_timeout": "3000",
    "idle_in_transaction_session_timeout": "10000",
}


class Membership:
    """One server among all that share a database.

    Attributes:
        peers: IDs of the other living servers, as of the last renewal.
    """

    def __init__(self, url: sa.URL, server_id: str, catalog: bytes = b"") -> None:
        self.peers: Collection[str] = frozenset()
        self._id = server_id
        self._catalog = catalog
        self._engine = sa.create_engine(url, pool_size=2, max_overflow=0, connect_args={"connect_timeout": 3})
        keep_settings(self._engine, _SETTINGS)
        keep_connections(self._engine)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="runbook-membership", daemon=True)

    def join(self) -> None:
        """Join the other servers, and remove those that have ended. Raises the errors of the database."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(SERVERS).where(~_is_alive(SERVERS)))
        self._renew()
        self._thread.start()

    def leave(self) -> None:
        """Leave the other servers. Idempotent."""
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join()
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.delete(SERVERS).where(SERVERS.c.id == self._id))
            except SQLAlchemyError as problem:
                logger.warning("the membership is left to its end: %s", describe(problem))
        self._engine.dispose()

    def others(self) -> list[bytes]:
        """Return the catalogs of the other living servers. Raises the errors of the database."""
        with self._engine.begin() as connection:
            return list(
                connection.scalars(sa.select(SERVERS.c.catalog).where(_is_alive(SERVERS), SERVERS.c.id != self._id))
            )

    def _renew(self) -> None:
        moment = sa.func.clock_timestamp()
        lease = insert(SERVERS).values(id=self._id, seen_at=moment, catalog=self._catalog)
        renewal = lease.on_conflict_do_update(index_elements=["id"], set_={"seen_at": moment})
        others = SERVERS.alias()
        peers = sa.select(sa.func.array_agg(others.c.id)).where(_is_alive(others), others.c.id != self._id)
        with self._engine.begin() as connection:
            found = connection.scalar(renewal.returning(peers.scalar_subquery()))
        self.peers = frozenset(found or ())

    def _loop(self) -> None:
        away = False
        while not self._leaving.wait(RENEWAL):
            try:
                self._renew()
                away = False
            except Exception as problem:  # noqa: BLE001 - it must keep trying after any failure
                if not away:
                    logger.error("the membership cannot be renewed: %s", describe(problem))  # noqa: TRY400 - see describe
                away = True


def _is_alive(servers: sa.FromClause) -> sa.ColumnElement[bool]:
    return servers.c.seen_at >= sa.func.now() - timedelta(seconds=SERVER_LEASE)
