"""A server that is stopped in the middle of a long step has not crashed."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from airplane_runbooks.server import Context, runbook
from tests.support.servers import eventually, started
from tests.support.supervised import supervised

BOOKS = """
    from airplane_runbooks.server.execution import runner

    runner.MOST_FAILED_STARTS = 2

    def work():
        note("begun")
        while not (FOLDER / "enough").exists():
            time.sleep(0.05)
        note("done")

    @runbook
    def long(context: Context) -> str:
        context.step(work)
        return "ended"

    BOOKS, OPTIONS = [long], {"grace": 0.2}
"""


def stop(server):
    assert server.stop() == 0


def insist(server):
    """End it by two signals, the second of which does not wait for anything."""
    server.process.send_signal(signal.SIGINT)
    time.sleep(0.05)  # two signals at the same time would count as one
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(100) in {0, 128 + signal.SIGINT}


def lose_patience(server):
    """Stop it as a supervisor does that waits no longer than the server itself."""
    server.process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(0.3)
    server.kill()


def test_a_job_of_an_earlier_segment_leaves_a_later_one_alone():
    begun, enough = threading.Event(), threading.Event()

    def work():
        begun.set()
        enough.wait(100)

    @runbook
    def long(context: Context):
        context.step(work)

    with started(long) as (server, client):
        session_id = client.execute("long")
        assert begun.wait(100)
        lifecycle = server._lifecycle
        store = lifecycle.services.store
        run_id = store.session(session_id).run_id
        assert lifecycle._runner.work(run_id, 7) is False
        lifecycle.stop()
        eventually(lambda: store.run(run_id).failed_starts == 0, deadline=100)
        enough.set()


@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("end", "shared"),
    [
        (stop, False),
        pytest.param(insist, False, marks=pytest.mark.nightly),
        pytest.param(lose_patience, False, marks=pytest.mark.slow),
        pytest.param(stop, True, marks=[pytest.mark.postgres, pytest.mark.nightly]),
    ],
)
def test_a_step_that_outlasts_several_stops_is_begun_again(tmp_path, request, end, shared):
    url = request.getfixturevalue("postgres_url") if shared else f"sqlite:///{tmp_path / 'runbooks.db'}"
    with supervised(BOOKS, url, tmp_path) as (server,):
        session_id = server.client.execute("long")
        for number in range(3):
            eventually(lambda number=number: server.notes.count("begun") == number + 1, deadline=100)
            end(server)
            server.start()
        eventually(lambda: server.notes.count("begun") == 4, deadline=100)
        (tmp_path / "enough").touch()
        server.client.reaches(session_id, "Succeeded")
        assert server.notes.count("done") == 1
        (_, step) = server.client.runs(session_id)
        assert step["status"] == "Succeeded"
