"""The shop of the demo: invoices, refunds and messages to customers, in one file of SQLite.

The file is in the folder that the environment variable RUNBOOKS_WORLD names. Without it, the shop ends with the
process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

_CUSTOMERS = ("ada", "grace", "alan", "edsger", "barbara")
_CENTS = (12900, 4500, 7900, 2400, 99000)  # what one invoice after the other is about
_TABLES = """
CREATE TABLE IF NOT EXISTS invoices (number INTEGER PRIMARY KEY, customer TEXT UNIQUE NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (invoice INTEGER PRIMARY KEY REFERENCES invoices, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (customer TEXT NOT NULL, text TEXT NOT NULL);
"""
_FIRST_INVOICE = 1042
_opening = Lock()


@contextmanager
def shop() -> Generator[sqlite3.Connection]:
    """Connect to the shop for the time of a `with` statement, which commits what it has changed."""
    with closing(sqlite3.connect(_folder() / "shop.db", timeout=60)) as connection:
        with _opening:
            _prepare(connection)
        with connection:
            yield connection


def send_invoices(customers: Iterable[str]) -> None:
    """Send an invoice to each customer; those who have one keep it."""
    with shop() as connection:
        _send_invoices(connection, customers)


def _folder() -> Path:
    named = os.environ.get("RUNBOOKS_WORLD")
    if not named:
        return _own_folder()
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _own_folder() -> Path:
    folder = Path(mkdtemp(prefix="runbooks-demo-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, and the first invoices, unless they are there."""
    if connection.execute("PRAGMA user_version").fetchone() == (0,):
        connection.executescript(_TABLES)
        with connection:
            _send_invoices(connection, [f"{customer}@example.com" for customer in _CUSTOMERS])
            connection.execute("PRAGMA user_version = 1")


def _send_invoices(connection: sqlite3.Connection, customers: Iterable[str]) -> None:
    (count,) = connection.execute("SELECT count(*) FROM invoices").fetchone()
    rows = [
        (number + _FIRST_INVOICE, customer, _CENTS[number % len(_CENTS)])
        for number, customer in enumerate(customers, start=count)
    ]
    connection.executemany("INSERT INTO invoices VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)
