"""Observation of the statements that a server's database executes."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from unittest import mock

import sqlalchemy as sa


@contextmanager
def observed_statements(engine, observe):
    """Call with the SQL and the values of each statement that begins inside, on the thread that executes it."""
    is_sqlite = engine.dialect.name == "sqlite"
    listeners = _of_sqlite(observe) if is_sqlite else _of_sqlalchemy(observe)
    for name, listener in listeners.items():
        sa.event.listen(engine, name, listener)
    try:
        with ExitStack() as stack:
            if not is_sqlite:
                stack.enter_context(_observed_pipelines(observe))
            yield
    finally:
        for name, listener in listeners.items():
            sa.event.remove(engine, name, listener)


def _of_sqlalchemy(observe):
    return {"before_cursor_execute": lambda _connection, _cursor, sql, values, *_: observe(f"{sql} {values}")}


@contextmanager
def _observed_pipelines(observe):
    """Observe what does not pass through SQLAlchemy."""
    from airplane_runbooks.server.storage.postgresql_pipeline import Pipeline

    add = Pipeline.add

    def observed_add(pipeline, statement, values):
        is_added = add(pipeline, statement, values)
        if is_added:
            observe(f"{statement} {dict(values)}")
        return is_added

    with mock.patch.object(Pipeline, "add", observed_add):
        yield


def _of_sqlite(observe):
    """Trace the driver, which writes the values into the SQL, since not all pass through SQLAlchemy."""

    def trace(statement):
        if not statement.startswith("--"):  # what a statement causes by itself
            observe(statement)

    return {
        "checkout": lambda connection, *_: connection.set_trace_callback(trace),
        "checkin": lambda connection, *_: connection.set_trace_callback(None),
    }
