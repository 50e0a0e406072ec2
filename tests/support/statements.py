"""Observation of the statements that a server's database executes."""

from __future__ import annotations

from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def observed_statements(engine, observe):
    """Call with the SQL and the values of each statement that begins inside, on the thread that executes it."""
    listeners = _of_sqlite(observe) if engine.dialect.name == "sqlite" else _of_sqlalchemy(observe)
    for name, listener in listeners.items():
        sa.event.listen(engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners.items():
            sa.event.remove(engine, name, listener)


def _of_sqlalchemy(observe):
    return {"before_cursor_execute": lambda _connection, _cursor, sql, values, *_: observe(f"{sql} {values}")}


def _of_sqlite(observe):
    """Trace the driver, which writes the values into the SQL, since not all pass through SQLAlchemy."""

    def trace(statement):
        if not statement.startswith("--"):  # what a statement causes by itself
            observe(statement)

    return {
        "checkout": lambda connection, *_: connection.set_trace_callback(trace),
        "checkin": lambda connection, *_: connection.set_trace_callback(None),
    }
