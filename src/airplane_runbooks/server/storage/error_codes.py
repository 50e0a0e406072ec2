"""Classification of the errors of databases.

PostgreSQL's errors are classified by SQLSTATE (appendix A of its manual), SQLite's by the primary part of their code.
"""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Errors of the database, and not of the statement: whole classes, or single states.
_UNAVAILABLE = (
    "08",  # the connection
    "25006",  # it is read-only, or a standby
    "25P03",  # this server was frozen in a transaction
    "28",  # the role, its password or its address
    "3D",  # the database is gone
    "40",  # deadlocks, and standbys that cancel
    "42501",  # a privilege has been taken away
    "53",  # disk, memory, connections
    "55",  # locks, and objects in use
    "57",  # an administrator, a restart, a timeout
    "58",  # the disk, again
    "F0",  # its configuration
    "XX",  # its files
)
# Often over in a moment, so the transaction is repeated at once.
_PASSING = ("08", "25P03", "40", "53300", "55P03", "57P01", "57P02", "57P03")

_SQLITE_PASSING = frozenset({5, 6})
READ_ONLY = "25006"

_SQLITE_UNAVAILABLE = frozenset(
    {
        3,  # SQLITE_PERM
        5,  # SQLITE_BUSY
        6,  # SQLITE_LOCKED
        7,  # SQLITE_NOMEM
        8,  # SQLITE_READONLY
        10,  # SQLITE_IOERR
        11,  # SQLITE_CORRUPT
        13,  # SQLITE_FULL
        14,  # SQLITE_CANTOPEN
        15,  # SQLITE_PROTOCOL
        23,  # SQLITE_AUTH
        26,  # SQLITE_NOTADB
    }
)


def sqlstate(problem: BaseException) -> str | None:
    """Return PostgreSQL's code of an error; None if it comes from the connection or from SQLite."""
    return getattr(getattr(problem, "orig", None), "sqlstate", None)


def is_unavailable(problem: BaseException) -> bool:
    """Tell whether the database cannot do anything for now, because of any cause."""
    if (state := sqlstate(problem)) is not None:
        return state.startswith(_UNAVAILABLE)
    return _of_sqlite(problem) in _SQLITE_UNAVAILABLE or isinstance(
        problem, (InterfaceError, OperationalError, PoolTimeout)
    )


def is_passing(problem: BaseException) -> bool:
    """Tell whether a repetition of the transaction may succeed, as after a race for a unique key."""
    if isinstance(problem, IntegrityError):
        return True
    if (state := sqlstate(problem)) is not None:
        return state.startswith(_PASSING)
    return isinstance(problem, (InterfaceError, OperationalError))


def is_lasting(problem: BaseException) -> bool:
    """Tell whether the database lacks room or the right to write, which takes time to change."""
    if (state := sqlstate(problem)) is not None:
        return state.startswith(_UNAVAILABLE) and not state.startswith(_PASSING)
    return _of_sqlite(problem) in _SQLITE_UNAVAILABLE - _SQLITE_PASSING


def _of_sqlite(problem: BaseException) -> int | None:
    code = getattr(getattr(problem, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
