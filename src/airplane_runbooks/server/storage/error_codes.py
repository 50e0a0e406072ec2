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

NO_ANSWER = "the database does not answer"

# Plain meanings of states of PostgreSQL, the longest beginning of a state first.
_MEANINGS = (
    ("25006", "the database is read-only"),
    ("25P03", "the database has ended a transaction that was left open"),
    ("40P01", "the database has ended a deadlock"),
    ("42501", "the database denies the access"),
    ("53100", "the disk of the database is full"),
    ("53200", "the database has no memory left"),
    ("53300", "the database has too many connections"),
    ("57014", "the database has cut off a statement that took too long"),
    ("57P", "the database is stopping or starting"),
    ("57", "the database has cut off a statement"),
    ("08", "the connection to the database is lost"),
    ("28", "the database denies the access"),
    ("3D", "the database is gone"),
    ("40", "the database has rolled a transaction back"),
    ("53", "the database lacks a resource"),
    ("55", "the database is locked by others"),
    ("58", "the disk of the database has failed"),
    ("F0", "the configuration of the database is wrong"),
    ("XX", "the files of the database are damaged"),
)
# PostgreSQL's own words for refused connections, whose errors have no state.
_REFUSALS = {
    "too many clients": "the database has too many connections",
    "too many connections": "the database has too many connections",
    "remaining connection slots": "the database has too many connections",
    "starting up": "the database is stopping or starting",
    "shutting down": "the database is stopping or starting",
}
_LOCKED = "the database is locked by another process"
_SQLITE_MEANINGS = {
    3: "the database denies the access",
    5: _LOCKED,
    6: _LOCKED,
    7: "the database has no memory left",
    8: "the database is read-only",
    10: "the disk of the database has failed",
    11: "the files of the database are damaged",
    13: "the disk of the database is full",
    14: "the files of the database cannot be opened",
    15: _LOCKED,
    23: "the database denies the access",
    26: "the file of the database is not a database",
}

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


def meaning(problem: BaseException) -> str:
    """Return what an error means for the database, in plain words of our own: no text of the error is part of it."""
    if (state := sqlstate(problem)) is not None:
        return next((words for beginning, words in _MEANINGS if state.startswith(beginning)), NO_ANSWER)
    if (code := _of_sqlite(problem)) is not None:
        return _SQLITE_MEANINGS.get(code, NO_ANSWER)
    said = str(getattr(problem, "orig", None) or "")
    return next((words for refusal, words in _REFUSALS.items() if refusal in said), NO_ANSWER)


def code_name(problem: BaseException) -> str:
    """Return the database's own name for an error, such as `SQLITE_FULL` or `SQLSTATE 53100`; empty without one."""
    if (state := sqlstate(problem)) is not None:
        return f"SQLSTATE {state}"
    return str(getattr(getattr(problem, "orig", None), "sqlite_errorname", ""))


def _of_sqlite(problem: BaseException) -> int | None:
    code = getattr(getattr(problem, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
