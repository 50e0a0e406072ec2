"""SQLite as a server uses it: one process has the file, and what has been committed is on the disk."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import sys
import time
import weakref
from pathlib import Path

from .errors import DatabaseError, DatabaseInUse, DatabaseUnavailable
from .forking import cut, keep_from_children

logger = logging.getLogger(__name__)

_MODE = 0o600  # the database holds whatever the runbooks are given
_OTHERS = 0o077
_LOCKED_BYTE = 1 << 30  # Windows locks bytes, not files, and lets nobody read them: so one far behind the PID
_BUSY_TIMEOUT = 30_000  # milliseconds

_FILE = (f"busy_timeout={_BUSY_TIMEOUT}", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL")
_MEMORY = ("foreign_keys=ON",)


def prepare(connection: sqlite3.Connection, *, in_memory: bool) -> None:
    """Set a new connection up for this package and for DBOS, which expects writes to begin transactions at once."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in _MEMORY if in_memory else _FILE:
        connection.execute(f"PRAGMA {pragma}")
    if sqlite3.sqlite_version_info < (3, 42):  # no `subsec` yet, on which DBOS counts from Python 3.12 on
        connection.create_function("unixepoch", 1, _unixepoch)


def _unixepoch(_modifier: str) -> float:
    return round(time.time(), 3)


class FileLock:
    """The right to open a database, from here until `release` or the end of the process.

    It lies beside the database, as `<name>.lock`, and stays there. Makes the database's file if there is none. Both are
    for their owner only. Children do not share it, however they are made. Raises DatabaseInUse, and DatabaseError for
    what cannot be read and written.
    """

    def __init__(self, path: Path) -> None:
        try:
            os.close(_open(path))
            self._file = _open(path.with_name(f"{path.name}.lock"))
        except OSError as problem:
            raise DatabaseError(f"cannot open the database {path}: {problem.strerror}") from None
        try:
            _lock(self._file)
        except OSError as problem:
            holder = _holder(self._file)
            os.close(self._file)
            if isinstance(problem, (BlockingIOError, PermissionError)):
                raise DatabaseInUse(path, holder) from None
            raise DatabaseError(f"cannot lock the database {path}: {problem.strerror}") from None
        _write_holder(self._file, str(os.getpid()))
        keep_from_children(self)

    def in_child(self) -> None:
        """Leave the lock to the parent: it would last until the last child had ended."""
        cut([self._file])

    def release(self) -> None:
        """Let others have the database. To be called once."""
        _write_holder(self._file, "")
        os.close(self._file)


class SameFile:
    """Knows whether a database's files are those that were opened, and not gone or others of the same names.

    SQLite would go on writing to what has no name any more, and say that all is well. The log of what has been written
    is looked at as well: a connection of this object's own keeps it from being made anew.
    """

    def __init__(self, path: Path) -> None:
        keeper = sqlite3.connect(path, check_same_thread=False)
        self._let_go = weakref.finalize(self, keeper.close)  # one that nobody closes lets go as well
        self._let_go.atexit = False
        prepare(keeper, in_memory=False)
        keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._paths = path, path.with_name(f"{path.name}-wal")
        self._expected = self._found()

    def check(self) -> None:
        """Raise DatabaseUnavailable if a file is not the same."""
        if self._found() != self._expected:
            raise DatabaseUnavailable(f"the file of the database {self._paths[0]} is not the one that was opened")

    def close(self) -> None:
        """Let go of the files. Idempotent."""
        self._let_go()

    def _found(self) -> list[tuple[int, int] | None]:
        return [_identity(path) for path in self._paths]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - twice as fast as the path's own method
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
    if os.name == "posix" and (mode := stat.S_IMODE(os.fstat(file).st_mode)) & _OTHERS:
        logger.warning("%s is open to others (%o), and holds what runbooks are given: chmod 600 %s", path, mode, path)
    return file


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: int) -> int | None:
    os.lseek(file, 0, os.SEEK_SET)
    text = os.read(file, 20)
    return int(text) if text.isdigit() else None


def _write_holder(file: int, text: str) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, text.encode())
