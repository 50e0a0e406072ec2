"""Servers whose clocks are wrong share one time: that of their database."""

from __future__ import annotations

import time

import pytest

from airplane_runbooks.server.storage import clock
from airplane_runbooks.server.storage.database import Database
from tests.support.servers import eventually
from tests.support.supervised import supervised

BOOKS = """
    from datetime import timedelta

    @runbook
    def noted(context: Context, name: str) -> None:
        context.step(note, name)

    @runbook
    def asks(context: Context) -> str:
        return str(context.prompt("Go on?", go=bool, expires_in=timedelta(minutes=30))["go"])

    BOOKS, OPTIONS = [noted, asks], {"keep_for": timedelta(minutes=30)}
"""


def shifted(seconds):
    """Source that shifts the clock of a process before anything reads it."""
    return f"import time\n_right = time.time\ntime.time = lambda: _right() + {seconds}\n"


@pytest.fixture(autouse=True)
def own_clock():
    yield
    clock.forget()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "skew",
    [
        61 * 60,
        pytest.param(-61 * 60, marks=pytest.mark.nightly),
        pytest.param(3 * 365 * 86400, marks=pytest.mark.nightly),
    ],
)
def test_a_server_with_a_wrong_clock_doubles_and_drops_nothing(postgres_url, tmp_path, skew):
    with supervised(BOOKS, postgres_url, tmp_path, 2, first=("", shifted(skew))) as (right, wrong):
        clients, ids = (right.client, wrong.client), []
        for number, one in enumerate(clients):
            other = clients[1 - number]
            key, body = f"key-{number}", {"slug": "noted", "paramValues": {"name": f"n{number}"}}
            first = one.post("/runbooks/execute", body, **{"Idempotency-Key": key})
            second = other.post("/runbooks/execute", body, **{"Idempotency-Key": key})
            assert first.json == second.json
            one.reaches(first.json["sessionID"], "Succeeded")
            ids.append((first.json["sessionID"], waiting := one.execute("asks"), one.open_prompt(waiting)["id"]))
        time.sleep(2.5)  # two rounds of each server's reconciler, which expires and drops
        for number, (ended, waiting, prompt_id) in enumerate(ids):
            one, other = clients[number], clients[1 - number]
            assert other.session(waiting)["status"] == "Waiting"
            assert other.session(ended)["status"] == "Succeeded"
            assert other.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}}).status == 200
            one.reaches(waiting, "Succeeded")
        assert sorted(right.notes) == ["n0", "n1"]


@pytest.mark.postgres
def test_a_prompt_expires_by_the_clock_of_the_database(postgres_url, tmp_path):
    source = BOOKS.replace("expires_in=timedelta(minutes=30)", "expires_in=timedelta(seconds=1)")
    with supervised(source, postgres_url, tmp_path, first=(shifted(-3600),)) as (server,):
        session_id = server.client.execute("asks")
        eventually(lambda: server.client.session(session_id)["status"] == "Cancelled")


@pytest.mark.postgres
def test_setting_the_clock_of_a_running_server_changes_nothing(postgres_url, monkeypatch):
    database = Database(postgres_url)
    right = time.time
    try:
        for jump in (-7200, 7200):
            monkeypatch.setattr(time, "time", lambda jump=jump: right() + jump)
            assert abs(clock.seconds() - right()) < 100
    finally:
        database.close()


def test_a_clock_that_agrees_with_the_databases_is_read_itself(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    clock.follow(1000.05, 5.0)
    assert clock.seconds() == 1000.0
    clock.follow(1060.0, 5.0)
    assert clock.seconds() == 1060.0
    clock.forget()
    assert clock.seconds() == 1000.0
