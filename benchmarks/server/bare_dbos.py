"""Bare DBOS in a process of its own, without HTTP: `python -m benchmarks.server.bare_dbos URL [TRACE]`.

It reads calls of the driver as lines of JSON and answers each with one. So it is a lower bound: its clients are threads
of the same process, and nothing of a session but its result and its steps is kept.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
import time
from collections import defaultdict
from typing import Any

import msgspec
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, WorkflowHandle

from . import driver
from .tracing import open_trace, trace_sqlite


@DBOS.step()
def same(number: int) -> int:
    return number


@DBOS.workflow()
def w1(number: int) -> int:
    return same(number)


@DBOS.workflow()
def w2(number: int) -> int:
    same(number)
    assert DBOS.workflow_id is not None
    ASKED[DBOS.workflow_id].set()
    DBOS.recv("answer", timeout_seconds=3600)
    return same(number)


ASKED: defaultdict[str, threading.Event] = defaultdict(threading.Event)
WORKFLOWS = {"W1": w1, "W2": w2}


class Workflows:
    """Workflows as the driver sees them."""

    def __init__(self) -> None:
        self._handles: dict[str, WorkflowHandle[int]] = {}

    def start(self, workload: str, number: int) -> str:
        handle = DBOS.start_workflow(WORKFLOWS[workload], number)
        self._handles[handle.workflow_id] = handle
        return handle.workflow_id

    def asked(self, session: str) -> float:
        ASKED[session].wait()
        del ASKED[session]
        return time.time()

    def answer(self, session: str) -> None:
        DBOS.send(session, True, "answer")  # noqa: FBT003 - the message

    def ended(self, session: str) -> float:
        self._handles.pop(session).get_result()
        return time.time()


def engine(url: str) -> sa.Engine | None:
    """Return an engine whose commits are on the disk, as DBOS's own are on PostgreSQL but not on SQLite."""
    if not url.startswith("sqlite"):
        return None
    made = sa.create_engine(url, connect_args={"check_same_thread": False}, pool_size=10, max_overflow=10)

    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(made, "connect", connected)
    return made


def main() -> None:
    url, *files = sys.argv[1:]
    if files:
        trace_sqlite(open_trace(files[0]))
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    config: DBOSConfig = {
        "name": "bare",
        "system_database_url": url,
        "system_database_engine": engine(url),
        "notification_listener_polling_interval_sec": 0.05,  # on SQLite; its 1 s would be all that W2 shows
        "max_executor_threads": 1024,  # each workflow that waits has one
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    system = Workflows()
    calls: dict[str, Any] = {"burst": driver.burst, "single": driver.single}
    print("ready", flush=True)
    for line in sys.stdin:
        name, *arguments = msgspec.json.decode(line)
        print(msgspec.json.encode(calls[name](system, *arguments)).decode(), flush=True)


if __name__ == "__main__":
    main()
