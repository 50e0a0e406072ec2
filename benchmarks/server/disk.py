"""Bounds that the disk, SQLite and PostgreSQL set: commits per second, without anything around them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

PAGE = bytes(4096)
ROW = "x" * 200
ONE_CLIENT = "PostgreSQL, commits/s, 1 client"


def per_second(once: Callable[[], object], seconds: float) -> float:
    """Call again and again, and return how often a second."""
    began, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        once()
        calls += 1
    return calls / elapsed


def fdatasync(folder: Path, seconds: float) -> float:
    """Append pages to a file, and wait for each until it is on the disk."""
    file = os.open(folder / "pages", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def once() -> None:
        os.write(file, PAGE)
        os.fdatasync(file)

    try:
        return per_second(once, seconds)
    finally:
        os.close(file)


def sqlite(folder: Path, seconds: float, rows: int = 1) -> float:
    """Commit rows as durably as the server does, and return the rows per second."""
    connection = sqlite3.connect(folder / "rows.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE IF NOT EXISTS rows (value)"):
        connection.execute(statement)

    def once() -> None:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(rows):
            connection.execute("INSERT INTO rows VALUES (?)", (ROW,))
        connection.execute("COMMIT")

    try:
        return per_second(once, seconds) * rows
    finally:
        connection.close()


def postgresql(url: str, seconds: float, clients: int = 1) -> float:
    """Commit single rows from several connections at once."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS rows (value text)")

    def run(_: int) -> float:
        with psycopg.connect(url, autocommit=True) as connection:
            return per_second(lambda: connection.execute("INSERT INTO rows VALUES (%s)", (ROW,)), seconds)

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(run, range(clients)))


def limits(folder: Path, url: str, seconds: float) -> dict[str, float]:
    """Measure all of them, one after the other."""
    return {
        "fdatasync/s": fdatasync(folder, seconds),
        "SQLite WAL + FULL, commits/s": sqlite(folder, seconds),
        "SQLite WAL + FULL, rows/s, 16 in a commit": sqlite(folder, seconds, 16),
        ONE_CLIENT: postgresql(url, seconds),
        "PostgreSQL, commits/s, 16 clients": postgresql(url, seconds, 16),
    }
