"""Patience with other servers after an outage that all of them may have seen."""

from __future__ import annotations

import threading

import pytest

from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.engine.patience import LONGEST_GAP, Patience
from airplane_runbooks.server.execution import watchdog
from airplane_runbooks.server.storage.transitions import LEASE
from tests.support.servers import Client, eventually

STARTED: list[str] = []
LEAVE = threading.Event()


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_there_is_no_patience_without_an_outage(clock):
    patience = Patience(10, clock)
    for _ in range(5):
        patience.reached()
        clock.now += LONGEST_GAP
        assert patience.is_over


@pytest.mark.parametrize("is_seen", [True, False], ids=["failed", "late"])
def test_patience_begins_when_an_outage_has_ended(clock, is_seen):
    patience = Patience(10, clock)
    patience.reached()
    clock.now += LONGEST_GAP + 1
    if is_seen:
        patience.missed()
    assert not patience.is_over
    patience.reached()
    for _ in range(2):
        assert not patience.is_over
        clock.now += 5
        patience.reached()
    assert patience.is_over


def test_a_server_alone_has_no_patience(clock):
    patience = Patience(0, clock)
    patience.missed()
    assert patience.is_over


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
def test_an_outage_that_all_servers_see_repeats_no_step(postgres, postgres_url, monkeypatch):
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
