"""SQLite for one server: one process has the file, and a committed transaction is on the disk."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import sys
import threading
import weakref
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from .connections import POOL, Commit, close_latecomers
from .errors import DatabaseClosed, DatabaseError, DatabaseInUse, DatabaseUnavailable
from .forking import cut, keep_from_children
from .prepared import command

logger = logging.getLogger(__name__)

_MODE = 0o600  # the database holds the parameters of runbooks
_OTHERS = 0o077
_LOCKED_BYTE = 1 << 30  # Windows locks bytes, not files, and they cannot be read: so lock one far behind the PID
_BUSY_TIMEOUT = 30_000  # milliseconds

# `secure_delete` overwrites what is deleted, as many builds of SQLite do unless they are told otherwise
_FILE = (
    f"busy_timeout={_BUSY_TIMEOUT}",
    "foreign_keys=ON",
    "secure_delete=ON",
    "journal_mode=WAL",
    "synchronous=FULL",
)
_MEMORY = ("foreign_keys=ON",)


def prepare(connection: sqlite3.Connection, *, in_memory: bool) -> None:
    """Prepare a new connection."""
    connection.isolation_level = None  # transactions begin and end where the code says so
    for pragma in _MEMORY if in_memory else _FILE:
        connection.execute(f"PRAGMA {pragma}")


class Connections:
    """Connections to a database in a file, of which one writes at a time, or the only one to a database in memory.

    Attributes:
        engine: The engine of SQLAlchemy.
    """

    def __init__(self, url: sa.URL, commit: Commit) -> None:
        self._path = Path(url.database) if url.database else None
        lock = threading.Lock()
        self._writing: AbstractContextManager[object] = lock
        self._reading: AbstractContextManager[object] = lock if self._path is None else nullcontext()
        self._commit = commit
        self._closed = threading.Event()
        self._file_lock = None if self._path is None else FileLock(self._path)
        self._same_file: SameFile | None = None
        self.engine = _engine(url)
        close_latecomers(self.engine, self._closed)

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """Read: all statements see the same state."""
        with self._reading, self._connect() as connection:
            if self._path is not None:
                command(connection, "BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        """Read and write in one transaction, which is committed in the end.

        Raises DatabaseUnavailable if it is not known whether it has been committed, and what SQLAlchemy raises.
        """
        with self._writing, self._connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._check_file()
            yield from self._commit.after(connection, _commit)
            self._check_file()
            if self._same_file is None and self._path is not None:  # now all of them are there
                self._same_file = SameFile(self._path)

    def close(self) -> None:
        """Wait for the running transaction, and let go of the files. Idempotent."""
        with self._writing:
            if self._same_file is not None:
                self._same_file.close()
            self.let_go()

    def let_go(self) -> None:
        """Close all at once. Idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.engine.dispose()
        if self._file_lock is not None:
            self._file_lock.release()

    def in_child(self) -> None:
        """Mark all as closed, without touching the parent's connections."""
        self._closed.set()
        self._writing = self._reading = nullcontext()  # a thread of the parent may hold the lock

    def _connect(self) -> sa.Connection:
        if self._closed.is_set():
            raise DatabaseClosed
        return self.engine.connect()

    def _check_file(self) -> None:
        if self._same_file is not None:
            self._same_file.check()


def _commit(connection: sa.Connection) -> DBAPIError | None:
    try:
        connection.commit()
    except DBAPIError as problem:
        return problem
    return None


def _engine(url: sa.URL) -> sa.Engine:
    in_memory = not url.database
    options: Mapping[str, Any] = {"poolclass": sa.StaticPool} if in_memory else POOL
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"check_same_thread": False}, **options)

    def connected(connection: sqlite3.Connection, _: object) -> None:
        prepare(connection, in_memory=in_memory)

    event.listen(engine, "connect", connected)
    return engine


class FileLock:
    """The right to open a database, from here until `release` or the end of the process.

    The lock is the file `<name>.lock` beside the database, and stays there. The database's file is made if there is
    none. Both are for their owner only. Children do not share the lock, however they are made. Raises DatabaseInUse,
    and DatabaseError for a file that cannot be read and written.
    """

    def __init__(self, path: Path) -> None:
        lock = path.with_name(f"{path.name}.lock")
        self._new = [one for one in (path, lock) if not one.exists()]
        try:
            os.close(_open(path))
            self._file = _open(lock)
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
        if _identity(lock) != _identity(self._file):  # its last holder has removed it meanwhile
            os.close(self._file)
            raise DatabaseInUse(path, None)
        _write_holder(self._file, str(os.getpid()))
        keep_from_children(self)

    def in_child(self) -> None:
        """Leave the lock to the parent; otherwise it would last until the last child has ended."""
        cut([self._file])

    def release(self) -> None:
        """Release the database. To be called once."""
        _write_holder(self._file, "")
        os.close(self._file)

    def discard(self) -> None:
        """Release the database, and remove the files that were made for the lock and are empty still."""
        _write_holder(self._file, "")
        for path in self._new:
            with suppress(OSError):
                if not path.stat().st_size:
                    path.unlink()
        self.release()


class SameFile:
    """Checks that a database's files are the ones that were opened, neither gone nor replaced.

    SQLite would go on writing to a deleted file, and report success. The write-ahead log
    is checked as well: a connection of this object keeps SQLite from recreating it.
    """

    def __init__(self, path: Path) -> None:
        keeper = sqlite3.connect(path, check_same_thread=False)
        self._let_go = weakref.finalize(self, keeper.close)  # an unclosed one lets go as well
        self._let_go.atexit = False
        prepare(keeper, in_memory=False)
        keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._paths = path, path.with_name(f"{path.name}-wal")
        self._expected = self._found()

    def check(self) -> None:
        """Raise DatabaseUnavailable if a file is gone or replaced."""
        if self._found() != self._expected:
            raise DatabaseUnavailable(f"the file of the database {self._paths[0]} is not the one that was opened")

    def close(self) -> None:
        """Close the files. Idempotent."""
        self._let_go()

    def _found(self) -> list[tuple[int, int] | None]:
        return [_identity(path) for path in self._paths]


def _identity(path: Path | int) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - twice as fast as the path's own method
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
    if os.name == "posix" and (mode := stat.S_IMODE(os.fstat(file).st_mode)) & _OTHERS:
        logger.warning("%s is open to others (%o), and holds data of runbooks: chmod 600 %s", path, mode, path)
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
