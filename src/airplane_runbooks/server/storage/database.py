"""The database: SQLite in a file of one server or in memory, or PostgreSQL for several servers."""

from __future__ import annotations

import random
import sqlite3
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..notifications import Notifications
from . import postgresql, postgresql_checks, sqlite
from .changes import CHANGES
from .connections import Commit, Connections
from .error_codes import is_passing, is_unavailable
from .errors import DatabaseError, DatabaseUnavailable
from .forking import keep_from_children
from .group_commit import GroupCommit, NotCommitted
from .migrations import UPGRADES, Upgrade, migrate
from .outages import Outages
from .postgresql_notifications import PostgresNotifications
from .tables import FACTS
from .url import parse, show

T = TypeVar("T")

_ATTEMPTS = 6
_LONGEST_TRY = 3.0  # seconds of attempts; one that has begun by then continues
_FIRST_DELAY = 0.02  # seconds, doubled each time
_PROBE = "probe"
_PROBED = 16 * 1024  # bytes
_LUCK = random.Random()  # noqa: S311 - not a secret; a generator of its own leaves the caller's alone


class Database:
    """A database with this package's tables, from `sqlite:///path`, `sqlite://` (in memory) or `postgresql://...`.

    Makes and upgrades the tables, or with `must_exist` only upgrades those of a database that is there. Raises
    DatabaseError for a bad URL and for a file that is not a database; of its subclasses, DatabaseInUse, DatabaseTooNew,
    and DatabaseUnavailable if PostgreSQL cannot be reached.

    Attributes:
        url: The URL as it may be shown.
        path: The file, if there is one.
        dialect: `sqlite` or `postgresql`.
        sqlalchemy_engine: The engine of SQLAlchemy.
        notifications: Notifications of this server, and of the others that share the database.
    """

    def __init__(self, url: str, upgrades: Sequence[Upgrade] = UPGRADES, *, must_exist: bool = False) -> None:
        parsed = parse(url)
        self.url = show(parsed)
        self.dialect = parsed.get_backend_name()
        self.path = Path(parsed.database) if self.dialect == "sqlite" and parsed.database else None
        if must_exist and not self.is_shared:
            _check_file(self.path)
        self.notifications = PostgresNotifications(parsed) if self.is_shared else Notifications()
        self._outages = Outages()
        kind = postgresql.Connections if self.is_shared else sqlite.Connections
        # a weak reference, or what is subscribed would keep an unclosed one, by what lets go of it
        self._commit = Commit(self._outages, partial(_publish, weakref.ref(self.notifications)))
        self._connections: Connections = kind(parsed, self._commit)
        self.sqlalchemy_engine = self._connections.engine
        # PostgreSQL commits what comes at a time together by itself
        self._writer = None if self.is_shared else GroupCommit(self._connections.write)
        # an unclosed one lets go as well
        self._let_go = weakref.finalize(self, _let_go, self._connections, self._writer)
        self._let_go.atexit = False
        keep_from_children(self)
        self._open(partial(migrate, upgrades=upgrades, must_exist=must_exist), str(parsed.password or ""))

    @property
    def is_shared(self) -> bool:
        """True if several servers can use it at a time."""
        return self.dialect == "postgresql"

    def watch_commits(self, watch: Callable[[float, BaseException | None], object]) -> None:
        """Have this called with the seconds that each commit takes, and with its error. It must not raise."""
        self._commit.watch = watch

    def read(self) -> AbstractContextManager[sa.Connection]:
        """Read. Each statement sees a consistent state, and on SQLite all of them see the same."""
        return self._connections.read()

    def write(self) -> AbstractContextManager[sa.Connection]:
        """Read and write in one transaction, which is committed in the end; on SQLite one at a time.

        Raises DatabaseUnavailable if it is not known whether it has been committed, and what SQLAlchemy raises.
        """
        return self._connections.write()

    def query(self, work: Callable[[sa.Connection], T]) -> T:
        """Call with a connection to read. Raises DatabaseUnavailable, and RuntimeError inside of a transaction."""
        self._refuse_nesting()
        return self._repeat(lambda: _within(self.read(), work))

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Call with a connection to write, and commit.

        On SQLite, `work` is called on the writer's thread, with a copy of the caller's context variables. What several
        callers hand over meanwhile is called one after the other, and committed together; so it should not take long.

        Calls again, a few times, after a deadlock, a lost connection, or the loss of a race for a unique key, all of
        which leave nothing behind. Raises what `work` raises, DatabaseUnavailable, and RuntimeError inside of another
        transaction.
        """
        self._refuse_nesting()
        writer = self._writer
        if writer is None:
            return self._repeat(lambda: _within(self.write(), work))
        return self._repeat(lambda: writer.submit(work).result())

    def probe(self) -> None:
        """Write and remove a row. Raises DatabaseUnavailable.

        Raises it for a while, too, after a transaction has failed for want of room or of the right to write: the next
        one may be smaller, and succeed.
        """
        if (lack := self._outages.lack) is not None:
            raise DatabaseUnavailable(lack)
        self.transact(_write_probe)

    def close(self) -> None:
        """Wait for the transactions that have been handed over, and close the database. Idempotent."""
        self.notifications.close()
        if self._writer is not None:
            self._writer.close()
        self._connections.close()

    def in_child(self) -> None:
        """Mark the database as closed, without touching the parent's connections."""
        self._let_go.detach()  # the parent closes them
        if self._writer is not None:
            self._writer.in_child()
        self._connections.in_child()

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    def _open(self, migrate_tables: Callable[[sa.Connection], None], password: str) -> None:
        try:
            with self.write() as connection:
                if self.is_shared:
                    postgresql_checks.check(self.sqlalchemy_engine, connection)
                migrate_tables(connection)
        except DatabaseError:
            self.close()
            raise
        except (SQLAlchemyError, sqlite3.Error) as problem:
            self.close()
            reason = _reason(problem, password)
            advice = postgresql_checks.explain(reason) if self.is_shared else ""
            kind = DatabaseUnavailable if self.is_shared and is_unavailable(problem) and not advice else DatabaseError
            raise kind(f"cannot open the database {self.url}: {reason}{advice}") from None

    def _refuse_nesting(self) -> None:
        if self._writer is not None and self._writer.is_current:
            raise RuntimeError("this is inside of a transaction: use the connection or the store that it was given")

    def _repeat(self, attempt: Callable[[], T]) -> T:
        give_up = time.monotonic() + _LONGEST_TRY
        for number in range(_ATTEMPTS):
            try:
                result = attempt()
            except NotCommitted as failure:
                raise self._unavailable(failure.reason) from failure.reason
            except (DBAPIError, PoolTimeout) as problem:
                last = number + 1 == _ATTEMPTS or time.monotonic() > give_up
                # on SQLite, the busy timeout was long enough
                if last or not self.is_shared or not is_passing(problem):
                    if is_unavailable(problem):
                        raise self._outages.report(problem) from problem
                    raise
            else:
                self._outages.answered()
                return result
            time.sleep(_LUCK.uniform(0.5, 1) * _FIRST_DELAY * 2**number)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _unavailable(self, reason: BaseException) -> DatabaseUnavailable:
        """Return an exception for one of the callers whose transactions failed together for this reason."""
        return DatabaseUnavailable(str(reason)) if isinstance(reason, DatabaseError) else self._outages.report(reason)


def _check_file(path: Path | None) -> None:
    """Raise DatabaseError unless there is a file that holds something."""
    if path is None or not path.exists():
        raise DatabaseError(f"there is no database {path or 'in memory'}")
    if not path.stat().st_size:
        raise DatabaseError(f"{path} is empty: nothing was restored into it")


def _within(transaction: AbstractContextManager[sa.Connection], work: Callable[[sa.Connection], T]) -> T:
    with transaction as connection:
        return work(connection)


def _publish(notifications: weakref.ref[Notifications], changes: Collection[str]) -> None:
    """Publish what has changed, unless the database has been forgotten."""
    if (left := notifications()) is not None:
        left.publish(CHANGES, changes)


def _let_go(connections: Connections, writer: GroupCommit | None) -> None:
    """Let go of a database that was not closed. Waits for nothing, as garbage is collected anywhere."""
    if writer is not None:
        writer.stop()
    connections.let_go()


def _write_probe(connection: sa.Connection) -> None:
    """Take some room, and free it again."""
    connection.execute(sa.insert(FACTS), {"name": _PROBE, "value": bytes(_PROBED)})
    connection.execute(sa.delete(FACTS).where(FACTS.c.name == _PROBE))


def _reason(problem: Exception, password: str) -> str:
    text = str(getattr(problem, "orig", None) or problem).strip()
    line = text.splitlines()[0] if text else type(problem).__name__
    return line.replace(password, "***") if password else line
