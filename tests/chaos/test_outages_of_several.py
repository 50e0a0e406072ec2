"""An outage of PostgreSQL that all its servers live through repeats no step, however long it lasts."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, pgbouncer, running
from tests.support.servers import eventually
from tests.support.supervised import Supervised, free_port, supervised

pytestmark = [pytest.mark.postgres, pytest.mark.nightly, pytest.mark.timeout(900)]

BOOKS = """
    def mark(tag: str, number: int, seconds: float) -> int:
        note(f"{tag}.{number}")
        time.sleep(seconds)
        return number

    @runbook
    def marks(context: Context, tag: str, first: float) -> str:
        context.step(mark, tag, 0, first, name="first")
        for number in range(1, 5):
            context.step(mark, tag, number, 0.5, name=f"mark {number}")
        return "ok"

    BOOKS, OPTIONS = [marks], {"workers": 8}
"""


@pytest.fixture
def own_postgres():
    """A PostgreSQL of the test's own, to be stopped."""
    with running() as server:
        yield server


def start_sessions(servers: list[Supervised], firsts: list[float]) -> list[tuple[Supervised, str]]:
    """Start a session on each server in turn, whose first steps take so many seconds."""
    started = []
    for number, first in enumerate(firsts):
        server = servers[number % len(servers)]
        started.append((server, server.client.execute("marks", {"tag": f"s{number}", "first": first})))
    return started


def ends(sessions: list[tuple[Supervised, str]], deadline: float = 100) -> None:
    """Wait until all have succeeded, and each step was executed once."""
    for server, session_id in sessions:
        eventually(lambda: server.client.session(session_id)["status"] == "Succeeded", deadline=deadline)  # noqa: B023  # called within this turn
    executed = Counter(sessions[0][0].notes)
    assert executed == {f"s{number}.{step}": 1 for number in range(len(sessions)) for step in range(5)}


def cut(postgres: Postgres, seconds: float) -> None:
    """Let a PostgreSQL be away for some seconds."""
    postgres.stop()
    time.sleep(seconds)
    postgres.start()


@pytest.mark.parametrize("seconds", [3, 14, 75])
def test_an_outage_that_all_servers_see_repeats_no_step(own_postgres: Postgres, tmp_path: Path, seconds: float) -> None:
    with supervised(BOOKS, own_postgres.fresh(), tmp_path, 2) as servers:
        # some end a step during the outage, others after it
        sessions = start_sessions(servers, [seconds * part for part in (0.3, 0.3, 0.8, 0.8, 1.3, 1.3, 1.8, 1.8)])
        cut(own_postgres, seconds)
        ends(sessions)


def test_a_server_that_starts_after_an_outage_repeats_no_step(own_postgres: Postgres, tmp_path: Path) -> None:
    with supervised(BOOKS, own_postgres.fresh(), tmp_path, 2) as servers:
        idle, busy = servers
        sessions = start_sessions([busy], [5, 25, 25, 25])
        own_postgres.stop()
        idle.kill()
        time.sleep(14)
        own_postgres.start()
        idle.start()
        ends(sessions)


def test_outages_one_after_the_other_repeat_no_step(own_postgres: Postgres, tmp_path: Path) -> None:
    with supervised(BOOKS, own_postgres.fresh(), tmp_path, 2) as servers:
        sessions = start_sessions(servers, [5, 5, 20, 20, 40, 40])
        for _ in range(3):
            cut(own_postgres, 9)
            time.sleep(3)
        ends(sessions)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_server_lost_in_an_outage_is_taken_over_after_it(
    own_postgres: Postgres, tmp_path: Path, blow: signal.Signals
) -> None:
    with supervised(BOOKS, own_postgres.fresh(), tmp_path, 2) as servers:
        lost, left = servers
        session_id = lost.client.execute("marks", {"tag": "s", "first": 2})
        eventually(lambda: lost.notes)
        own_postgres.stop()
        lost.process.send_signal(blow)
        time.sleep(14)
        own_postgres.start()
        eventually(lambda: left.client.session(session_id)["status"] == "Succeeded", deadline=100)
        lost.process.send_signal(signal.SIGCONT)
        executed = Counter(left.notes)
        assert executed["s.0"] == 2  # on either server
        assert all(executed[f"s.{step}"] == 1 for step in range(1, 5))


def test_a_restart_of_a_pooler_repeats_no_step(own_postgres: Postgres, tmp_path: Path) -> None:
    with ExitStack() as stack:
        database = own_postgres.fresh()
        port = free_port()
        first = stack.enter_context(ExitStack())
        url = first.enter_context(pgbouncer(database, "transaction", max_client_conn=200, listen_port=port))
        servers = stack.enter_context(supervised(BOOKS, url, tmp_path, 2))
        sessions = start_sessions(servers, [5, 5, 20, 20, 30, 30])
        first.close()
        time.sleep(14)
        stack.enter_context(pgbouncer(database, "transaction", max_client_conn=200, listen_port=port))
        ends(sessions)
