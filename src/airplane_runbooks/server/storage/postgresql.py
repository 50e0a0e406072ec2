"""PostgreSQL as servers use it: connections of one process, and one clock for all."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError

from . import error_codes
from .clock import follow
from .connections import POOL, Commit, close_latecomers
from .errors import DatabaseClosed
from .forking import cut, keep_from_children
from .prepared import PIPELINE

_CONNECT_TIMEOUT = 5  # seconds
_RECYCLE = 1800  # seconds until a connection is renewed, which also reads the database's clock
_SETTINGS = {"idle_in_transaction_session_timeout": "10000"}  # ms: a frozen server must not keep its locks
_POOLED = "runbooks_pooled"
_IDLE_SINCE = "runbooks_idle_since"
IDLE = 1.0  # seconds after which a connection is tried before it is used


class Connections:
    """Connections to a database that several servers share: one for each transaction.

    Attributes:
        engine: The engine of SQLAlchemy.
    """

    def __init__(self, url: sa.URL, commit: Commit) -> None:
        self._commit = commit
        self._closed = threading.Event()
        self.engine = _engine(url)
        close_latecomers(self.engine, self._closed)

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """Read: each statement sees a consistent state."""
        with self._connect() as connection:
            connection.info[PIPELINE].clear()
            yield connection

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        """Read and write in one transaction, which is committed in the end.

        Raises DatabaseUnavailable if it is not known whether it has been committed, and what SQLAlchemy raises.
        """
        with self._connect() as connection:
            pipeline = connection.info[PIPELINE]
            pipeline.begin()
            yield from self._commit.after(connection, pipeline.commit)

    def close(self) -> None:
        """Close all. Idempotent."""
        self.let_go()

    def let_go(self) -> None:
        """Close all. Idempotent."""
        self._closed.set()
        self.engine.dispose()

    def in_child(self) -> None:
        """Mark all as closed, without touching the parent's connections."""
        self._closed.set()

    def _connect(self) -> sa.Connection:
        if self._closed.is_set():
            raise DatabaseClosed
        return self.engine.connect()


class _Open:
    """All open connections of this process."""

    def __init__(self) -> None:
        self._made: WeakSet[Any] = WeakSet()
        self._kept: list[Any] = []

    def add(self, connection: Any, _: object) -> None:
        """Remember a new connection."""
        self._made.add(connection)

    def in_child(self) -> None:
        """Leave them to the parent, whose sessions with the database would otherwise last as long as the child."""
        self._kept = list(self._made)
        for connection in self._kept:
            with suppress(Exception):  # it has been closed
                cut([connection.fileno()])


# A host that vanishes sends nothing, and TCP alone would wait for it for a quarter of an hour. With these it is ten
# seconds, for what waits for a reply and for what has been sent (`tcp_user_timeout`, in milliseconds).
PROBES = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}

_OPEN = _Open()
keep_from_children(_OPEN)


def unless_in_url(url: sa.URL, options: Mapping[str, object]) -> dict[str, object]:
    """Return those options of a connection for which the URL has none of its own."""
    return {name: value for name, value in options.items() if name not in url.query}


def _engine(url: sa.URL) -> sa.Engine:
    made = sa.create_engine(
        url,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",  # the pipelines begin transactions
        **POOL,
        pool_recycle=_RECYCLE,
        connect_args=unless_in_url(url, {"connect_timeout": _CONNECT_TIMEOUT, "client_encoding": "UTF8", **PROBES}),
    )
    event.listen(made, "connect", _look_at_clock)
    event.listen(made, "handle_error", _leave_read_only)
    _ping_idle(made)
    _keep_for_sessions(made, _SETTINGS)
    event.listen(made, "connect", _add_pipeline)
    event.listen(made, "before_cursor_execute", _flush)
    keep_connections(made)
    return made


def _add_pipeline(connection: Any, entry: sa.pool.ConnectionPoolEntry) -> None:
    from .postgresql_pipeline import Pipeline  # psycopg comes with an extra

    connection.prepare_threshold = None  # psycopg would drop what the pipeline has prepared together with its own
    entry.info[PIPELINE] = Pipeline(connection, _commands(_SETTINGS, "SET LOCAL") if entry.info[_POOLED] else None)


def _flush(connection: sa.Connection, *_: object) -> None:
    """Execute what comes before a statement that SQLAlchemy is about to execute."""
    connection.info[PIPELINE].flush(connection)


def keep_settings(made: sa.Engine, settings: Mapping[str, str]) -> None:
    """Give these run-time settings to everything that an engine does, through a pooler as well.

    Poolers refuse them as startup parameters. A connection to PostgreSQL itself gets them once. A pooler may lead each
    transaction to another session, so there each transaction begins with them.
    """

    def begun(connection: sa.Connection) -> None:
        if connection.info.get(_POOLED):
            connection.exec_driver_sql("; ".join(_commands(settings, "SET LOCAL")))

    _keep_for_sessions(made, settings)
    event.listen(made, "begin", begun)


def _keep_for_sessions(made: sa.Engine, settings: Mapping[str, str]) -> None:
    """Give these settings to the sessions of PostgreSQL, and find out which connections lead to a pooler."""

    def connected(connection: Any, entry: sa.pool.ConnectionPoolEntry) -> None:
        with connection.cursor() as cursor:
            (pid,) = cursor.execute("SELECT pg_backend_pid()").fetchone()
            entry.info[_POOLED] = pid != connection.info.backend_pid  # a pooler has numbers of its own
            if entry.info[_POOLED]:
                connection.prepare_threshold = None  # the next session would not know the prepared statement
            else:
                cursor.execute("; ".join(_commands(settings, "SET")))
        connection.commit()

    event.listen(made, "connect", connected)


def _commands(settings: Mapping[str, str], word: str) -> Sequence[str]:
    return [f"{word} {name} = '{value}'" for name, value in settings.items()]


def keep_connections(made: sa.Engine) -> None:
    """Keep an engine's connections from forked children."""
    event.listen(made, "connect", _OPEN.add)


def _ping_idle(made: sa.Engine) -> None:
    """Replace lost connections that were idle; others are found by their next statement, which is then repeated."""

    def returned(_: object, entry: sa.pool.ConnectionPoolEntry) -> None:
        entry.info[_IDLE_SINCE] = time.monotonic()

    def taken(connection: Any, entry: sa.pool.ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() > entry.info.get(_IDLE_SINCE, math.inf) + IDLE:
            try:
                made.dialect.do_ping(connection)
            except made.dialect.loaded_dbapi.Error as problem:
                raise InvalidatePoolError from problem

    event.listen(made, "checkin", returned)
    event.listen(made, "checkout", taken)


def _leave_read_only(context: sa.ExceptionContext) -> None:
    """Close connections to a database that has become a standby: the URL may lead to another one by now."""
    if getattr(context.original_exception, "sqlstate", None) == error_codes.READ_ONLY:
        context.is_disconnect = True


def _look_at_clock(connection: Any, _: object) -> None:
    asked = time.monotonic()
    with connection.cursor() as cursor:
        (moment,) = cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    follow(moment, asked)
    connection.rollback()
