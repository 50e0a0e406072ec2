"""Counts of statements and commits, from the trace of a process or the log of PostgreSQL. Pure functions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

OURS = re.compile(r"\brunbook_(?!dbos)")  # a table of ours; on PostgreSQL, DBOS has the schema runbook_dbos
WRITES = re.compile(r"(WITH\b.*\b)?(INSERT|UPDATE|DELETE)\b", re.IGNORECASE | re.DOTALL)
LOGGED = re.compile(r"(\d+) (\S+) LOG:  (?:statement|execute [^:]*): (.*)")
HTTP = "http"


class Statement(NamedTuple):
    connection: str
    text: str


class Counts(msgspec.Struct):
    """Counts per session, or per second of an idle server.

    Attributes:
        commits: Transactions that wrote to tables of ours.
        queue_commits: Transactions that wrote only to tables of DBOS.
        statements: Statements, those that begin and end transactions left out.
        calls: HTTP calls that were answered.
    """

    commits: float = 0
    queue_commits: float = 0
    statements: float = 0
    calls: float = 0

    def per_session(self, idle: Counts, seconds: float, sessions: float) -> Counts:
        """Return the counts per session, without those of a server that is idle for so many seconds."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(idle), strict=True)
        return Counts(*(max(0.0, (total - rate * seconds) / sessions) for total, rate in pairs))


def of_trace(text: str) -> Iterator[Statement]:
    """Yield what a process has written: the name of a connection, a tab, a statement."""
    for line in text.splitlines():
        connection, _, statement = line.partition("\t")
        yield Statement(connection, statement)


def of_log(text: str, database: str) -> Iterator[Statement]:
    """Yield the statements on a database in a log of PostgreSQL whose lines begin with process and database."""
    for entry in re.split(r"\n(?!\t)", text):
        if (found := LOGGED.match(entry)) and found[2] == database:
            yield Statement(found[1], " ".join(entry[found.start(3) :].split()))


def count(statements: Iterable[Statement]) -> Counts:
    """Count them. Connections may be in the midst of a transaction at the begin and at the end."""
    counts = Counts()
    written: defaultdict[str, set[bool]] = defaultdict(set)  # by connection: of our tables, or of others
    for connection, text in statements:
        word = text.split(maxsplit=1)[0].rstrip(";").upper() if text.strip() else ""
        if connection == HTTP:
            counts.calls += 1
        elif word == "BEGIN":
            written[connection] = set()
        elif word == "COMMIT" or (word == "ROLLBACK" and " TO " not in text.upper()):
            kinds = written.pop(connection, set())
            counts.commits += word == "COMMIT" and True in kinds
            counts.queue_commits += word == "COMMIT" and kinds == {False}
        else:
            counts.statements += 1
            if WRITES.match(text):
                ours = OURS.search(text) is not None
                if connection in written:
                    written[connection].add(ours)
                else:  # outside of a transaction, or its begin was not seen
                    counts.commits += ours
                    counts.queue_commits += not ours
    return counts
