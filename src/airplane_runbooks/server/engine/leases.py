"""Membership of the servers on one PostgreSQL database: each has a lease that it renews as long as it runs.

A lock would reveal dead servers, but not frozen ones, which keep theirs. A lease ends by the clock of the database.
Its holder may wake up and continue without harm: it renews its lease, and the store refuses its late results, since
their fencing tokens are stale.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from ..logs import describe
from ..storage.postgresql import keep_connections, keep_settings
from ..storage.tables import SERVERS

logger = logging.getLogger(__name__)

LEASE = 5.0  # seconds
RENEWAL = 1.0
_LEADERSHIP = 7261_4402  # an advisory lock of PostgreSQL's

# A lease need not wait for the disk. A statement that hangs, or a leader that freezes, must end before the lease does.
_SETTINGS = {
    "synchronous_commit": "off",
    "statement_timeout": "3000",
    "idle_in_transaction_session_timeout": "10000",
}


class Membership:
    """One server among all that share a database."""

    def __init__(self, url: sa.URL, server_id: str, catalog: bytes = b"") -> None:
        self._id = server_id
        self._catalog = catalog
        self._engine = sa.create_engine(url, pool_size=2, max_overflow=0, connect_args={"connect_timeout": 3})
        keep_settings(self._engine, _SETTINGS)
        keep_connections(self._engine)
        self._renewed = 0.0  # by this process's clock
        self._lost_leases = 0
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="runbook-lease", daemon=True)

    def join(self) -> None:
        """Take a lease. Raises the errors of the database."""
        self._renew()
        self._thread.start()

    def leave(self) -> None:
        """Give up the lease, so that other servers take its jobs at once. Idempotent."""
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join()
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.delete(SERVERS).where(SERVERS.c.id == self._id))
            except SQLAlchemyError as problem:
                logger.warning("the lease is left to its end: %s", describe(problem))
        self._engine.dispose()

    @contextmanager
    def leadership(self) -> Generator[frozenset[str] | None]:
        """Lead the other servers, one server at a time: yield the IDs of those alive, or None while another leads."""
        with self._engine.begin() as connection:
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LEADERSHIP))):
                yield None
                return
            ended = SERVERS.c.seen_at < sa.func.now() - timedelta(seconds=LEASE)
            connection.execute(sa.delete(SERVERS).where(ended))
            living = connection.scalars(sa.select(SERVERS.c.id)).all()
            yield frozenset([*living, self._id])

    def others(self) -> list[bytes]:
        """Return the catalogs of the other living servers. Raises the errors of the database."""
        alive = SERVERS.c.seen_at >= sa.func.now() - timedelta(seconds=LEASE)
        with self._engine.begin() as connection:
            return list(connection.scalars(sa.select(SERVERS.c.catalog).where(alive, SERVERS.c.id != self._id)))

    @property
    def lost_leases(self) -> int:
        """Number of times the lease has ended or been taken away; after each, others may have this server's jobs."""
        return self._lost_leases + (time.monotonic() > self._renewed + LEASE)

    def _renew(self) -> None:
        started, moment = time.monotonic(), sa.func.clock_timestamp()
        lease = insert(SERVERS).values(id=self._id, seen_at=moment, catalog=self._catalog)
        lease = lease.on_conflict_do_update(index_elements=["id"], set_={"seen_at": moment})
        with self._engine.begin() as connection:
            is_new = connection.scalar(lease.returning(sa.literal_column("xmax = 0")))
        self._lost_leases += bool(is_new) or started > self._renewed + LEASE
        self._renewed = started

    def _loop(self) -> None:
        away = False
        while not self._leaving.wait(RENEWAL):
            try:
                self._renew()
                away = False
            except Exception as problem:  # noqa: BLE001 - it must keep trying after any failure
                if not away:
                    logger.error("the lease cannot be renewed: %s", describe(problem))  # noqa: TRY400 - see describe
                away = True
