"""Backups of a database in a file, and the mark of a restored database.

What a session has done since its backup is unknown to a database that is restored from it. So each backup is marked as
one when it is written, and the first server that opens a marked database holds all unfinished sessions. A copy by other
means, such as PostgreSQL's, is marked after it has been restored.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from ...models import SessionStatus
from .database import Database
from .errors import DatabaseError, DatabaseTooNew
from .holds import RESTORED
from .ids import now
from .migrations import UPGRADES
from .new_files import new_file
from .rows import to_microseconds
from .sqlite import FileLock
from .tables import FACTS, IS_UNFINISHED, RUNS, SERVER_LEASE, SERVERS, SESSIONS
from .url import parse

logger = logging.getLogger(__name__)

_MARK = "restored"  # name of the fact that holds the time of the backup
_OLDEST = 2  # version of the tables from which on there are facts
_BESIDE = ("-wal", "-shm", "-journal")  # files that SQLite would take for a part of the database
_LAPSE = SERVER_LEASE + 2.0  # seconds after which a killed server surely no longer counts as alive
_LOOK = 0.5  # seconds between two looks for living servers
_BUSY_TIMEOUT = 30_000  # milliseconds


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A database that has been written and verified."""

    path: Path
    version: int
    sessions: int
    unfinished: int


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A database that is marked as restored, and what it holds. The URL is the one that may be shown."""

    database: str
    sessions: int
    unfinished: int


def file_of(url: str) -> Path:
    """Return the path of a database in a file. Raises DatabaseError for other databases."""
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseError("PostgreSQL has backups of its own: use pg_dump and pg_restore, as the documentation says")
    if not parsed.database:
        raise DatabaseError("a database in memory has no backups")
    return Path(parsed.database)


def back_up(database: Path, file: Path) -> Backup:
    """Write a consistent, verified copy of a database, which a server may be using. Raises DatabaseError."""
    if not database.exists():
        raise DatabaseError(f"there is no database {database}")
    with _explained(file), new_file(file) as copy:
        return _copy(database, copy, "rw", file)  # only who may write recovers what a killed process has left


def restore(file: Path, database: Path) -> Backup:
    """Put a verified copy of a backup where no database is yet. Raises DatabaseError, DatabaseInUse for one in use."""
    if not file.exists():
        raise DatabaseError(f"there is no backup {file}")
    lock = FileLock(database)
    try:
        _check_place(database)
        database.unlink()  # the empty file of the lock
        with _explained(database), new_file(database) as copy:
            restored = _copy(file, copy, "ro", database)
    except BaseException:
        lock.discard()
        raise
    lock.release()
    return restored


def _check_place(database: Path) -> None:
    """Raise DatabaseError if a database is there, or a file that SQLite would take for a part of one."""
    others = [database.with_name(database.name + ending) for ending in _BESIDE]
    for found in (database if database.stat().st_size else None, *filter(Path.exists, others)):
        if found is not None:
            raise DatabaseError(f"{found} is there already: move it away, or restore to another place")


def mark_restored(url: str) -> Marked:
    """Mark a database that has been restored by other means.

    Raises DatabaseError if there is none, or if it is used by servers.
    """
    database = Database(url, must_exist=True)
    try:
        if database.is_shared:
            _wait_for_no_servers(database)
        sessions, unfinished = database.transact(_mark_with_last_change)
        return Marked(database=database.url, sessions=sessions, unfinished=unfinished)
    finally:
        database.close()


def hold_restored(database: Database) -> None:
    """Hold all unfinished sessions and tasks of a database that is marked as restored. Raises DatabaseUnavailable."""
    if database.query(_read_mark) is None:
        return
    held = database.transact(_hold_all)
    logger.warning(
        "the database was restored from a backup: %d unfinished session(s) and task(s) are held until an operator"
        " lets them go on, because what they have done since then is unknown",
        held,
    )


@contextmanager
def _explained(target: Path) -> Generator[None]:
    try:
        yield
    except FileExistsError:
        raise DatabaseError(f"{target} is there already, and is not overwritten") from None
    except OSError as problem:
        raise DatabaseError(f"cannot write {target}: {problem.strerror}") from None


def _copy(source: Path, copy: Path, mode: str, target: Path) -> Backup:
    try:
        moment = to_microseconds(now())
        with _opened(source, mode) as origin, _opened(copy, "rw") as made:
            origin.backup(made)
            made.execute("PRAGMA journal_mode=DELETE")  # one file is all
            version = _version(made, source)
            with made:
                made.execute(
                    f"INSERT INTO {FACTS.name} (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",  # noqa: S608 - our table
                    (_MARK, str(moment).encode()),
                )
        with _opened(copy, "ro") as made:
            return _verify(made, version, source, target)
    except sqlite3.Error as problem:
        raise DatabaseError(f"cannot copy the database {source}: {problem}") from None


@contextmanager
def _opened(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True)) as connection:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT}")
        yield connection


def _version(connection: sqlite3.Connection, source: Path) -> int:
    try:
        (version,) = connection.execute("SELECT version FROM runbook_version").fetchone()
    except (sqlite3.OperationalError, TypeError):
        raise DatabaseError(f"{source} is not a database of runbooks") from None
    newest = 1 + len(UPGRADES)
    if version > newest:
        raise DatabaseTooNew(f"{source} has version {version}, and this package supports versions up to {newest}")
    if version < _OLDEST:
        raise DatabaseError(f"{source} has version {version}, which cannot be marked: copy it while no server runs")
    return int(version)


def _verify(connection: sqlite3.Connection, version: int, source: Path, target: Path) -> Backup:
    (problem,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if problem != "ok":
        raise DatabaseError(f"{source} is damaged: {problem}")
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise DatabaseError(f"{source} is damaged: rows refer to others that are missing")
    (sessions,) = connection.execute("SELECT count(*) FROM runbook_sessions").fetchone()
    (unfinished,) = connection.execute(
        "SELECT count(*) FROM runbook_runs WHERE parent_id IS NULL AND ended_at IS NULL"
    ).fetchone()
    return Backup(path=target, version=version, sessions=sessions, unfinished=unfinished)


def _wait_for_no_servers(database: Database) -> None:
    """Wait until servers that were killed no longer count as alive. Raises DatabaseError if others are."""
    alive = sa.select(sa.func.count()).where(SERVERS.c.seen_at > sa.func.now() - sa.text(f"interval '{_LAPSE} s'"))
    give_up = time.monotonic() + _LAPSE + 1
    while running := database.query(lambda connection: connection.scalar(alive)):
        if time.monotonic() > give_up:
            raise DatabaseError(f"{running} server(s) use the database: stop them first")
        time.sleep(_LOOK)


def _mark_with_last_change(connection: sa.Connection) -> tuple[int, int]:
    """Mark the database, and return its counts of sessions and of what is unfinished.

    Its last change is the best that is known of the time of its backup.
    """
    if _read_mark(connection) is None:
        latest = connection.scalar(sa.select(sa.func.max(RUNS.c.updated_at)))
        value = str(to_microseconds(now()) if latest is None else latest).encode()
        connection.execute(sa.insert(FACTS), {"name": _MARK, "value": value})
    return connection.scalar(_COUNT_SESSIONS) or 0, connection.scalar(_COUNT_UNFINISHED) or 0


def _read_mark(connection: sa.Connection) -> bytes | None:
    return connection.scalar(sa.select(FACTS.c.value).where(FACTS.c.name == _MARK))


def _hold_all(connection: sa.Connection) -> int:
    """Hold what is unfinished, since the time of the backup, and remove the mark.

    Another server that starts meanwhile waits for this transaction, and finds no mark then.
    """
    found = connection.execute(sa.delete(FACTS).where(FACTS.c.name == _MARK).returning(FACTS.c.value)).scalar()
    if found is None:
        return 0
    values = {"moment": int(found), "why": RESTORED, "active": SessionStatus.ACTIVE.value}
    connection.execute(_REST, {**values, "pending": SessionStatus.PENDING.value})
    return connection.execute(_HOLD_ALL, values).rowcount


_COUNT_SESSIONS = sa.select(sa.func.count()).select_from(SESSIONS)
_COUNT_UNFINISHED = sa.select(sa.func.count()).select_from(RUNS).where(IS_UNFINISHED)
_HOLD_ALL = (
    sa.update(RUNS)
    .where(IS_UNFINISHED)
    .values(
        held=bindparam("why", type_=sa.Text),
        due_at=None,
        leased=False,
        failed_starts=0,
        updated_at=bindparam("moment", type_=sa.BigInteger),
    )
)
_REST = (
    sa.update(SESSIONS)
    .where(SESSIONS.c.status == bindparam("active"), SESSIONS.c.run_id.in_(sa.select(RUNS.c.id).where(IS_UNFINISHED)))
    .values(status=bindparam("pending", type_=sa.Text))
)
