"""Execution of the store's statements by the drivers themselves, with SQL that is compiled once.

SQLAlchemy would take ten times as long as SQLite to prepare a statement and its rows, and as libpq. It executes those
with lists, whose length is part of the SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, Any]

PIPELINE = "runbook_pipeline"  # in the `info` of a connection to PostgreSQL

_DIALECT = sqlite.dialect()
_NONE: Values = {}


class _Prepared(NamedTuple):
    """SQL for the driver, and the names of its parameters in their order, with the values of those that are fixed."""

    text: str
    names: Sequence[str]
    fixed: Values


class _Cursor(Protocol):
    """A cursor after the execution of a statement."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> Sequence[Any]: ...


def later(connection: sa.Connection, statement: Any, values: Values = _NONE) -> None:
    """Execute a statement whose result does not matter.

    On PostgreSQL, it is sent together with the next statement, or with the commit. Raises DBAPIError, as they do then.
    """
    pipeline = connection.info.get(PIPELINE)
    if pipeline is None or not pipeline.add(statement, values):
        change(connection, statement, values)


def change(connection: sa.Connection, statement: Any, values: Values = _NONE) -> int:
    """Execute a statement that returns no rows; return the number of rows that it changed. Raises DBAPIError."""
    cursor = _driven(connection, statement, values)
    return connection.execute(statement, values).rowcount if cursor is None else cursor.rowcount


def first(connection: sa.Connection, statement: Any, values: Values = _NONE) -> Sequence[Any] | None:
    """Return the first row, None if there is none. Raises DBAPIError."""
    cursor = _driven(connection, statement, values)
    return connection.execute(statement, values).first() if cursor is None else cursor.fetchone()


def scalar(connection: sa.Connection, statement: Any, values: Values = _NONE) -> Any:
    """Return the first value of the first row, None if there is none. Raises DBAPIError."""
    row = first(connection, statement, values)
    return None if row is None else row[0]


def fetch(connection: sa.Connection, statement: Any, values: Values = _NONE) -> Sequence[Sequence[Any]]:
    """Return all rows. Raises DBAPIError."""
    cursor = _driven(connection, statement, values)
    return connection.execute(statement, values).all() if cursor is None else cursor.fetchall()


def command(connection: sa.Connection, text: str) -> None:
    """Execute a command to SQLite that has no parameters. Raises DBAPIError."""
    _execute(connection, text, ())


def _driven(connection: sa.Connection, statement: Any, values: Values) -> _Cursor | None:
    """Return the driver's cursor after the execution; None if SQLAlchemy has to do it."""
    if connection.dialect.name != "sqlite":
        answer: _Cursor | None = connection.info[PIPELINE].execute(connection, statement, values)
        return answer
    if (prepared := _prepared(statement, tuple(values))) is None:
        return None
    text, names, fixed = prepared
    if fixed:
        values = {**fixed, **values}
    return _execute(connection, text, [values[name] for name in names])


def _execute(connection: sa.Connection, text: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    try:
        return driver.execute(text, parameters)
    except sqlite3.Error as problem:
        raise DBAPIError.instance(text, None, problem, sqlite3.Error, hide_parameters=True) from problem


@lru_cache(maxsize=1000)
def _prepared(statement: Any, names: tuple[str, ...]) -> _Prepared | None:
    """Compile a statement for values of these names; None for lists, whose length is part of the SQL."""
    compiled = statement.compile(dialect=_DIALECT, column_keys=names)
    if any(bind.expanding for bind in compiled.binds.values()):
        return None
    constants = compiled.params  # which a compiler that has written values into the SQL does not tell
    if compiled.literal_execute_params:  # values that SQLAlchemy writes into the SQL
        statement = statement.params(dict.fromkeys(names))
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    fixed = {name: constants[name] for name in compiled.positiontup if name not in names}
    return _Prepared(str(compiled), compiled.positiontup, fixed)
