"""Faults of neighbours, operators and the database cost no healthy session anything."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airplane_runbooks import AirplaneError
from airplane_runbooks.models import SessionStatus
from tests.support.chaos import Human, Server, check

pytestmark = pytest.mark.postgres

SKEWS = ("0", "3600", "0")  # seconds


def carry_on(servers: list[Server], seconds: float) -> None:
    """Let time go by, and start again what has died."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        for server in servers:
            server.restart_if_dead()
        time.sleep(0.2)


def status(human: Human, session_id: str) -> SessionStatus | None:
    try:
        return human.client.sessions.get(session_id).status
    except AirplaneError:  # all servers may be dead for a while
        return None


@pytest.mark.parametrize(
    ("sessions", "troubles"),
    [pytest.param(60, {"cut": 30, "stop": 10}, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_no_healthy_session_ends_on_a_bad_day(
    tmp_path: Path, postgres: Any, postgres_url: str, sessions: int, troubles: dict[str, int]
) -> None:
    luck = random.Random(sessions)
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    servers = [Server(postgres_url, tmp_path / "journal", CHAOS_SKEW=skew, CHAOS_GRACE="0.5") for skew in SKEWS]

    def cut() -> None:
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    try:
        for server in servers:
            server.start()
            server.ready()
        human = Human(servers)
        try:
            driven = human.drive(["refund", "gather"] * (sessions // 2))
            long = human.client.runbooks.execute("long").session_id
            poison = human.client.runbooks.execute("poison").session_id
            blows: list[Callable[[], None]] = [cut] * troubles["cut"]
            blows += [luck.choice(servers).bounce for _ in range(troubles["stop"])]
            luck.shuffle(blows)
            for blow in blows:
                carry_on(servers, luck.uniform(0.5, 2))
                blow()
            while not all(one.done() for one in driven):
                carry_on(servers, 1)
            for one in driven:
                one.result()
            while status(human, long) is not SessionStatus.SUCCEEDED:
                assert status(human, long) is not SessionStatus.FAILED
                carry_on(servers, 1)
            while status(human, poison) is not SessionStatus.FAILED:
                carry_on(servers, 1)
            times = check(human, tmp_path / "journal", sessions, late=True)
        finally:
            human.close()
    finally:
        for server in servers:
            server.close()
    print("steps by their number of executions:", dict(sorted(times.items())))
    print("deaths of each server:", [server.deaths for server in servers])
