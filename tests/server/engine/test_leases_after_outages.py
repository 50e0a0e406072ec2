"""Servers leave one another their sessions after an outage that all of them may have seen."""

from __future__ import annotations

import threading

import pytest

from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.execution import watchdog
from airplane_runbooks.server.storage.transitions import LEASE
from tests.support.servers import Client, eventually

STARTED: list[str] = []
LEAVE = threading.Event()


@runbook
def lasts(context: Context) -> str:
    """Stay in a step during an outage."""
    return context.step(stay)


def stay() -> str:
    STARTED.append("once")
    assert LEAVE.wait(120)
    return "done"


@pytest.mark.postgres
@pytest.mark.nightly
def test_the_last_server_that_comes_back_keeps_its_sessions(postgres, postgres_url, monkeypatch):
    monkeypatch.setattr(watchdog, "POLL", 4.0)  # so that the owner is the last one to come back
    STARTED.clear()
    LEAVE.clear()
    with RunbookServer([lasts], database=postgres_url) as one, RunbookServer([lasts], database=postgres_url):
        client = Client(one)
        sessions = [client.execute("lasts") for _ in range(6)]
        eventually(lambda: len(STARTED) == len(sessions))
        postgres.stop()
        try:
            threading.Event().wait(LEASE.total_seconds() + 4)  # until the leases have lapsed
        finally:
            postgres.start()
        threading.Event().wait(2 * watchdog.POLL)  # until all have come back
        LEAVE.set()
        for session_id in sessions:
            client.reaches(session_id, "Succeeded")
        client.close()
    assert len(STARTED) == len(sessions)
