"""Errors of opening or using a database. No message shows a password."""

from __future__ import annotations

from pathlib import Path

from ..errors import ApiError
from .error_codes import NO_ANSWER


class DatabaseError(Exception):
    """The database cannot be opened, or cannot be used any more."""


class DatabaseInUse(DatabaseError):
    """Another process, or another server of this one, has the file open. `pid` is None if it is unknown."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = "another server" if pid is None else f"process {pid}"
        super().__init__(f"the database {path} is in use by {holder}")
        self.path = path
        self.pid = pid


class DatabaseTooNew(DatabaseError):
    """A newer version of this package has written the database."""


class DatabaseUnavailable(DatabaseError, ApiError):
    """The database cannot be used for now. A write may or may not have been carried out. The message says why."""

    status = 503
    retryable = True
    retry_after = 1

    def __init__(self, message: str = NO_ANSWER) -> None:
        ApiError.__init__(self, "database_unavailable", message)


class DatabaseClosed(DatabaseUnavailable):
    """This process has closed the database, or is a forked child of the one that has it."""

    def __init__(self) -> None:
        super().__init__("the database is closed")
