"""Changes of sessions, runs and prompts, which are published once their transaction has been committed.

A change of a session, of its root run or of one of its prompts is published as the ID of the root run, that of a step's
run alone as the ID of this run. New deliveries are published as `OUTBOX`. A reader that wants to miss no change
subscribes before it reads. It may be told of a change that was not made: a rolled-back unit of a shared transaction is
published as well.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

CHANGES = "changes"  # the channel
OUTBOX = "outbox"

_NOTED = "runbook_changes"


def note_change(connection: Connection, run_id: str) -> None:
    """Note that the open transaction changes what belongs to a run."""
    connection.info.setdefault(_NOTED, set()).add(run_id)


def take_changes(connection: Connection) -> Collection[str]:
    """Return what has been noted since the last call, and forget it."""
    noted: Collection[str] = connection.info.pop(_NOTED, ())
    return noted
