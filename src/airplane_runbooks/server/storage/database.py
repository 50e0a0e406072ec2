"""The database: SQLite in a file of one server or in memory, or PostgreSQL for several servers."""

from __future__ import annotations

import logging
import math
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..logs import describe
from ..notifications import Notifications
from . import postgresql, postgresql_checks
from .changes import CHANGES, take_changes
from .error_codes import is_lasting, is_passing, is_unavailable
from .errors import DatabaseClosed, DatabaseError, DatabaseUnavailable
from .forking import keep_from_children
from .migrations import UPGRADES, Upgrade, migrate
from .postgresql_notifications import PostgresNotifications
from .sqlite import FileLock, SameFile, prepare
from .tables import FACTS
from .url import parse, show

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS = 6
_LONGEST_TRY = 3.0  # seconds of attempts; one that has begun by then continues
_FIRST_DELAY = 0.02  # seconds, doubled each time
_MEMORY = 5.0  # seconds
_PROBE = "probe"
_PROBED = 16 * 1024  # bytes
_LUCK = random.Random()  # noqa: S311 - not a secret; a generator of its own leaves the caller's alone


class Database:
    """A database with this package's tables, from `sqlite:///path`, `sqlite://` (in memory) or `postgresql://...`.

    Makes and upgrades the tables. Raises DatabaseError for a bad URL and for a file that is not a database; of its
    subclasses, DatabaseInUse, DatabaseTooNew, and DatabaseUnavailable if PostgreSQL cannot be reached.

    Attributes:
        url: The URL as it may be shown.
        path: The file, if there is one.
        dialect: `sqlite` or `postgresql`.
        sqlalchemy_engine: The engine of SQLAlchemy, which DBOS shares on PostgreSQL.
        notifications: Notifications of this server, and of the others that share the database.
    """

    def __init__(self, url: str, upgrades: Sequence[Upgrade] = UPGRADES) -> None:
        parsed = parse(url)
        self.url = show(parsed)
        self.dialect = parsed.get_backend_name()
        self.path = Path(parsed.database) if self.dialect == "sqlite" and parsed.database else None
        self.notifications = PostgresNotifications(parsed) if self.is_shared else Notifications()
        self._closed = threading.Event()
        in_memory = self.dialect == "sqlite" and self.path is None
        lock = threading.Lock()
        self._writing: AbstractContextManager[object] = nullcontext() if self.is_shared else lock
        self._reading: AbstractContextManager[object] = lock if in_memory else nullcontext()
        file_lock = None if self.path is None else FileLock(self.path)
        self.sqlalchemy_engine = postgresql.engine(parsed) if self.is_shared else _sqlite(parsed)
        _close_latecomers(self.sqlalchemy_engine, self._closed)
        self._reader = self.sqlalchemy_engine
        if self.is_shared:  # one statement and nothing to commit saves three round trips
            self._reader = self._reader.execution_options(isolation_level="AUTOCOMMIT")
        # an unclosed one lets go as well
        self._let_go = weakref.finalize(self, _let_go, self.sqlalchemy_engine, file_lock, self._closed)
        self._let_go.atexit = False
        self._lacking = -math.inf  # time of the last lack of room or of the right to write
        self._same_file: SameFile | None = None
        keep_from_children(self)
        self._open(upgrades, str(parsed.password or ""))

    @property
    def is_shared(self) -> bool:
        """True if several servers can use it at a time."""
        return self.dialect == "postgresql"

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """Read. Each statement sees a consistent state, and on SQLite all of them see the same."""
        with self._reading, self._connect(self._reader) as connection:
            if self.path is not None:
                connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        """Read and write in one transaction, which is committed in the end; on SQLite one at a time.

        Raises DatabaseUnavailable if it is not known whether it has been committed, and what SQLAlchemy raises.
        """
        with self._writing, self._connect(self.sqlalchemy_engine) as connection:
            if not self.is_shared:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._check_file()
            take_changes(connection)  # of an earlier transaction, which was rolled back
            yield connection
            changes = take_changes(connection)
            try:
                connection.commit()
            except DBAPIError as problem:
                raise self._unavailable(problem) from problem
            finally:  # it may have been committed even so
                if changes:
                    self.notifications.publish(CHANGES, changes)
            self._check_file()

    def query(self, work: Callable[[sa.Connection], T]) -> T:
        """Call with a connection to read. Raises DatabaseUnavailable."""
        return self._repeat(self.read, work)

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Call with a connection to write, and commit.

        Calls again, a few times, after a deadlock, a lost connection, or the loss of a race for a unique key, all of
        which leave nothing behind. Raises DatabaseUnavailable.
        """
        return self._repeat(self.write, work)

    def probe(self) -> None:
        """Write and remove a row. Raises DatabaseUnavailable.

        Raises it for a while, too, after a transaction has failed for want of room or of the right to write: the next
        one may be smaller, and succeed.
        """
        if time.monotonic() < self._lacking + _MEMORY:
            raise DatabaseUnavailable
        self.transact(_write_probe)

    def close(self) -> None:
        """Wait for the running transaction, and close the database; later ones are refused. Idempotent."""
        self.notifications.close()
        with self._writing:
            if self._same_file is not None:
                self._same_file.close()
            self._let_go()

    def in_child(self) -> None:
        """Mark the database as closed, without touching the parent's connections."""
        self._closed.set()
        self._kept = self._let_go.detach(), self._same_file  # for ever: the parent closes them
        self._writing = self._reading = nullcontext()  # a thread of the parent may hold the lock

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    def _connect(self, engine: sa.Engine) -> sa.Connection:
        if self._closed.is_set():
            raise DatabaseClosed
        return engine.connect()

    def _open(self, upgrades: Sequence[Upgrade], password: str) -> None:
        try:
            with self.write() as connection:
                if self.is_shared:
                    postgresql_checks.check(self.sqlalchemy_engine, connection)
                migrate(connection, upgrades)
            if self.path is not None:
                self._same_file = SameFile(self.path)
        except DatabaseError:
            self.close()
            raise
        except (SQLAlchemyError, sqlite3.Error) as problem:
            self.close()
            reason = _reason(problem, password)
            advice = postgresql_checks.explain(reason) if self.is_shared else ""
            kind = DatabaseUnavailable if self.is_shared and is_unavailable(problem) and not advice else DatabaseError
            raise kind(f"cannot open the database {self.url}: {reason}{advice}") from None

    def _repeat(
        self, transaction: Callable[[], AbstractContextManager[sa.Connection]], work: Callable[[sa.Connection], T]
    ) -> T:
        give_up = time.monotonic() + _LONGEST_TRY
        for attempt in range(_ATTEMPTS):
            try:
                with transaction() as connection:
                    return work(connection)
            except (DBAPIError, PoolTimeout) as problem:
                last = attempt + 1 == _ATTEMPTS or time.monotonic() > give_up
                # on SQLite, the busy timeout was long enough
                if last or not self.is_shared or not is_passing(problem):
                    if is_unavailable(problem):
                        raise self._unavailable(problem) from problem
                    raise
            time.sleep(_LUCK.uniform(0.5, 1) * _FIRST_DELAY * 2**attempt)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _check_file(self) -> None:
        if self._same_file is not None:
            self._same_file.check()

    def _unavailable(self, problem: SQLAlchemyError) -> DatabaseUnavailable:
        logger.error("the database does not answer: %s", describe(getattr(problem, "orig", None) or problem))
        if is_lasting(problem):
            self._lacking = time.monotonic()
        return DatabaseUnavailable()


def _let_go(engine: sa.Engine, file_lock: FileLock | None, closed: threading.Event) -> None:
    closed.set()
    engine.dispose()
    if file_lock is not None:
        file_lock.release()


def _close_latecomers(engine: sa.Engine, closed: threading.Event) -> None:
    """Close the connections that are returned after the others were disposed of."""

    def returned(_: object, entry: sa.pool.ConnectionPoolEntry) -> None:
        if closed.is_set():
            entry.invalidate()

    event.listen(engine, "checkin", returned)


def _sqlite(url: sa.URL) -> sa.Engine:
    in_memory = not url.database
    options: dict[str, Any] = {"poolclass": sa.StaticPool} if in_memory else {"pool_size": 10, "max_overflow": 10}
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"check_same_thread": False}, **options)

    def connected(connection: sqlite3.Connection, _: object) -> None:
        prepare(connection, in_memory=in_memory)

    event.listen(engine, "connect", connected)
    return engine


def _write_probe(connection: sa.Connection) -> None:
    """Take some room, and free it again."""
    connection.execute(sa.insert(FACTS), {"name": _PROBE, "value": bytes(_PROBED)})
    connection.execute(sa.delete(FACTS).where(FACTS.c.name == _PROBE))


def _reason(problem: Exception, password: str) -> str:
    text = str(getattr(problem, "orig", None) or problem).strip()
    line = text.splitlines()[0] if text else type(problem).__name__
    return line.replace(password, "***") if password else line
