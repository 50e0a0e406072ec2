"""Statements on a connection of psycopg, several of which go to PostgreSQL at a time: a pipeline of libpq.

A round trip costs both sides more than most statements do, and psycopg's cursors cost more than libpq. PostgreSQL
answers in the order of the statements. It skips those after one that fails, and the transaction is lost.
"""

from __future__ import annotations

import select
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg import errors, pq
from sqlalchemy.exc import DBAPIError

from . import error_codes
from .postgresql_statements import Answer, Statement, command, prepared

_FAILED = frozenset({pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE})
_BEGIN, _COMMIT = command("BEGIN ISOLATION LEVEL READ COMMITTED"), command("COMMIT")


class _Sent(NamedTuple):
    """A statement that waits to be sent, or has been."""

    statement: Statement
    parameters: Sequence[bytes | None]


class _Awaited(NamedTuple):
    """A result that PostgreSQL owes: that of the statement at a position, or of its preparation."""

    position: int
    prepares: Statement | None = None


class Pipeline:
    """The statements on one connection. Those without a result that matters wait for the next one with such a result.

    If a pooler is in between, each transaction begins with `settings`, and nothing is prepared: the next one may be on
    another session. Statements that go other ways have to be preceded by `flush`.
    """

    def __init__(self, connection: psycopg.Connection, settings: Sequence[str] | None) -> None:
        self._connection = connection
        self._link = connection.pgconn
        self._begin = [_Sent(statement, ()) for statement in (_BEGIN, *map(command, settings or ()))]
        self._prepared: set[Statement] | None = set() if settings is None else None
        self._waiting: list[_Sent] = []
        self._readable = select.poll()
        self._readable.register(self._link.socket, select.POLLIN)
        self._any = select.poll()
        self._any.register(self._link.socket, select.POLLIN | select.POLLOUT)

    def begin(self) -> None:
        """Let the next statement begin a transaction."""
        self._waiting = self._begin[:]

    def clear(self) -> None:
        """Forget what waits, such as what an earlier transaction has left when it was given up."""
        self._waiting = []

    def add(self, statement: Any, values: Mapping[str, Any]) -> bool:
        """Have a statement executed before the next one with a result, or before the commit; False if that cannot be.

        It cannot be for statements with lists, whose length is part of the SQL.
        """
        if (compiled := prepared(statement, tuple(values))) is None:
            return False
        self._waiting.append(_Sent(compiled, compiled.parameters(values)))
        return True

    def execute(self, connection: sa.Connection, statement: Any, values: Mapping[str, Any]) -> Answer | None:
        """Execute a statement after all that wait; None if that cannot be. Raises DBAPIError."""
        return self._exchange(connection) if self.add(statement, values) else None

    def flush(self, connection: sa.Connection) -> None:
        """Execute what waits. Raises DBAPIError."""
        if self._waiting:
            self._exchange(connection)

    def commit(self, connection: sa.Connection) -> DBAPIError | None:
        """Execute what waits, and commit. Returns an error after which it may have been committed, or not.

        Raises DBAPIError for one of the statements before; then it has not been committed.
        """
        self._waiting.append(_Sent(_COMMIT, ()))
        try:
            self._exchange(connection)
        except DBAPIError as problem:
            if problem.statement == _COMMIT.text:
                return problem
            raise
        return None

    def _exchange(self, connection: sa.Connection) -> Answer:
        """Send what waits, and return the answer to the last of it."""
        sent, self._waiting = self._waiting, []
        awaited: list[_Awaited] = []
        results: list[pq.abc.PGresult] = []
        lost: psycopg.Error | None = None
        try:
            self._send(sent, awaited)
            self._receive(results)
            self._link.exit_pipeline_mode()
        except psycopg.Error as problem:
            lost = problem
        except BaseException:  # what is still to come would be taken for the answer to something else
            self._connection.close()
            raise
        for (position, prepares), result in zip(awaited, results, strict=False):
            if result.status in _FAILED and result.error_field(pq.DiagnosticField.SQLSTATE):
                raise self._error(connection, sent[position], errors.error_from_result(result))
            if prepares is not None and self._prepared is not None:
                self._prepared.add(prepares)
        if lost is not None or len(results) < len(awaited):
            raise self._error(connection, sent[-1], lost or psycopg.OperationalError("the connection is lost"))
        return Answer(sent[-1].statement, results[-1])

    def _send(self, sent: Sequence[_Sent], awaited: list[_Awaited]) -> None:
        link, known = self._link, self._prepared
        link.enter_pipeline_mode()
        fresh: set[Statement] = set()
        for position, (statement, parameters) in enumerate(sent):
            if known is None:
                link.send_query_params(statement.sql, parameters, statement.oids, statement.formats, pq.Format.BINARY)
            else:
                if statement not in known and statement not in fresh:
                    fresh.add(statement)
                    link.send_prepare(statement.name, statement.sql, statement.oids)
                    awaited.append(_Awaited(position, statement))
                link.send_query_prepared(statement.name, parameters, statement.formats, pq.Format.BINARY)
            awaited.append(_Awaited(position))
        link.pipeline_sync()
        while link.flush():
            self._any.poll()
            link.consume_input()  # PostgreSQL may wait for that before it reads on

    def _receive(self, results: list[pq.abc.PGresult]) -> None:
        link = self._link
        while True:
            while link.is_busy():
                self._readable.poll()  # libpq would wait with the interpreter's lock
                link.consume_input()
            result = link.get_result()
            if result is None:  # the end of one answer
                if link.status == pq.ConnStatus.BAD:
                    return
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return
            else:
                results.append(result)

    def _error(self, connection: sa.Connection, sent: _Sent, problem: psycopg.Error) -> BaseException:
        if problem.sqlstate == error_codes.READ_ONLY:  # a standby by now: the URL may lead to another database
            self._connection.close()
        lost = self._connection.closed
        if lost:
            with suppress(DBAPIError):
                connection.exec_driver_sql("SELECT")  # SQLAlchemy finds out, and replaces the others as well
        return DBAPIError.instance(
            sent.statement.text, None, problem, psycopg.Error, hide_parameters=True, connection_invalidated=lost
        )
