"""Connections to a database, as each kind of database has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from .changes import take_changes
from .outages import Outages

# None is closed when it is returned: a new one costs as much as several transactions, and has nothing prepared yet. The
# last one that was returned is taken first, as the others have forgotten more.
POOL: Mapping[str, Any] = {"pool_size": 20, "max_overflow": 0, "pool_use_lifo": True}


class Connections(Protocol):
    """Connections of one process to its database."""

    @property
    def engine(self) -> sa.Engine:
        """The engine of SQLAlchemy."""
        ...

    def read(self) -> AbstractContextManager[sa.Connection]:
        """Read. Each statement sees a consistent state, and on SQLite all of them see the same."""
        ...

    def write(self) -> AbstractContextManager[sa.Connection]:
        """Read and write in one transaction, which is committed in the end; on SQLite one at a time.

        Raises DatabaseUnavailable if it is not known whether it has been committed, and what SQLAlchemy raises.
        """
        ...

    def close(self) -> None:
        """Wait for the running transaction of a file, and close all. Idempotent."""
        ...

    def let_go(self) -> None:
        """Close all at once. Idempotent."""
        ...

    def in_child(self) -> None:
        """Mark all as closed, without touching the parent's connections."""
        ...


class Commit:
    """The end of a transaction: it is committed, and what has changed is published.

    Attributes:
        watch: Called with the seconds that each commit took, and with its error. It must not raise.
    """

    def __init__(self, outages: Outages, publish: Callable[[Collection[str]], None]) -> None:
        self._outages = outages
        self._publish = publish
        self.watch: Callable[[float, BaseException | None], object] = _ignore

    def after(
        self, connection: sa.Connection, commit: Callable[[sa.Connection], DBAPIError | None]
    ) -> Generator[sa.Connection]:
        """Yield the connection, and `commit` what is done with it.

        Raises DatabaseUnavailable if that returns an error, after which it is not known whether it has been committed.
        """
        take_changes(connection)  # of an earlier transaction, which was rolled back
        yield connection
        changes, begun = take_changes(connection), time.monotonic()
        try:
            problem = commit(connection)
            self.watch(time.monotonic() - begun, problem)
        finally:  # it may have been committed even so
            if changes:
                self._publish(changes)
        if problem is not None:
            raise self._outages.report(problem) from problem


def _ignore(seconds: float, problem: BaseException | None) -> None:
    """Let no observer know."""


def close_latecomers(engine: sa.Engine, closed: threading.Event) -> None:
    """Close the connections that are returned after the others were disposed of."""

    def returned(_: object, entry: sa.pool.ConnectionPoolEntry) -> None:
        if closed.is_set():
            entry.invalidate()

    event.listen(engine, "checkin", returned)
