"""PostgreSQL as servers use it: connections of one process, and one clock for all."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event

from . import error_codes
from .clock import follow
from .forking import cut, keep_from_children

_CONNECT_TIMEOUT = 5  # seconds
_RECYCLE = 1800  # seconds until a connection is renewed, which also reads the database's clock
_FREEZE = "-c idle_in_transaction_session_timeout=10000"  # a frozen server must not keep its locks


class _Connections:
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


_CONNECTIONS = _Connections()
keep_from_children(_CONNECTIONS)


def engine(url: sa.URL) -> sa.Engine:
    """Return the engine of a server."""
    given = {"connect_timeout": _CONNECT_TIMEOUT, "options": _FREEZE, "client_encoding": "UTF8"}
    options = {name: value for name, value in given.items() if name not in url.query}
    made = sa.create_engine(
        url,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
        pool_recycle=_RECYCLE,
        connect_args=options,
    )
    event.listen(made, "connect", _look_at_clock)
    event.listen(made, "handle_error", _leave_read_only)
    keep_connections(made)
    return made


def keep_connections(made: sa.Engine) -> None:
    """Keep an engine's connections from forked children."""
    event.listen(made, "connect", _CONNECTIONS.add)


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
