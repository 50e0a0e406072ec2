"""A trace of what a process hands to SQLite, also where it does without SQLAlchemy. PostgreSQL logs that by itself."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

LONGEST = 2000  # characters of a statement


def trace_sqlite(file: int) -> None:
    """Write the statements of all connections that are made from here on, one a line, after the connection's name."""
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        name = id(connection)

        def write(statement: str) -> None:
            line = f"{name}\t{' '.join(statement.split())[:LONGEST]}\n"
            os.write(file, line.encode("utf-8", "replace"))

        connection.set_trace_callback(write)
        return connection

    for module in (sqlite3, sqlite3.dbapi2):  # SQLAlchemy calls it by the second name
        vars(module)["connect"] = traced


def open_trace(path: str) -> int:
    """Open a file to append to, which several writers may do at a time."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
