"""Membership of the servers on one PostgreSQL database: each announces its code in a row that it renews.

A lock would reveal dead servers, but not frozen ones, which keep theirs. A membership ends by the database's clock, but
not before its server has had the time to renew it after an outage. The renewals also tell a server of outages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from ..logs import describe
from ..storage import clock
from ..storage.contact import Contact
from ..storage.postgresql import PROBES, keep_connections, keep_settings, unless_in_url
from ..storage.tables import SERVER_LEASE, SERVERS

logger = logging.getLogger(__name__)

RENEWAL = 2.0  # seconds
_FORGOTTEN = timedelta(hours=1)  # after which a server that has not left is removed

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

    def __init__(self, url: sa.URL, server_id: str, catalog: bytes = b"", contact: Contact | None = None) -> None:
        self.peers: Collection[str] = frozenset()
        self._contact = contact or Contact()
        self._id = server_id
        self._catalog = catalog
        options = {"connect_timeout": 3, **unless_in_url(url, PROBES)}
        self._engine = sa.create_engine(url, pool_size=2, max_overflow=0, connect_args=options)
        keep_settings(self._engine, _SETTINGS)
        keep_connections(self._engine)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="runbook-membership", daemon=True)

    def join(self) -> None:
        """Join the other servers, and remove those that ended long ago. Raises the errors of the database."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(SERVERS).where(SERVERS.c.seen_at < sa.func.now() - _FORGOTTEN))
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
            living = sa.select(SERVERS.c.catalog).where(self._may_live(SERVERS), SERVERS.c.id != self._id)
            return list(connection.scalars(living))

    def _renew(self) -> None:
        moment = sa.func.clock_timestamp()
        lease = insert(SERVERS).values(id=self._id, seen_at=moment, catalog=self._catalog)
        renewal = lease.on_conflict_do_update(index_elements=["id"], set_={"seen_at": moment})
        others = SERVERS.alias()
        peers = sa.select(sa.func.array_agg(others.c.id)).where(self._may_live(others), others.c.id != self._id)
        shown = sa.cast(sa.extract("epoch", moment), sa.Double)
        with self._engine.begin() as connection:
            asked = time.monotonic()
            found, seconds = connection.execute(renewal.returning(peers.scalar_subquery(), shown)).one()
            self._contact.note(asked, float(seconds))
            clock.correct(float(seconds), asked)
        self.peers = frozenset(found or ())

    def _may_live(self, servers: sa.FromClause) -> sa.ColumnElement[bool]:
        """Return the condition for a server that lives, or may not have had the time to say so after an outage."""
        if not self._contact.is_proven:
            return sa.true()
        return servers.c.seen_at >= sa.func.now() - timedelta(seconds=SERVER_LEASE)

    def _loop(self) -> None:
        away = False
        while not self._leaving.wait(RENEWAL):
            try:
                self._renew()
                away = False
            except Exception as problem:  # noqa: BLE001 - it must keep trying after any failure
                self._contact.lose()
                if not away:
                    logger.error("the membership cannot be renewed: %s", describe(problem))  # noqa: TRY400 - see describe
                away = True
