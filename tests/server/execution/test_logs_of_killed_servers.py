"""Logs of steps whose server is killed: what was written a second before is kept, and the next attempt adds to it."""

from __future__ import annotations

import pytest

from tests.support.servers import eventually
from tests.support.supervised import supervised

BOOKS = """
    def linger() -> str:
        if (FOLDER / "again").exists():
            print("once more")
            return "done"
        print("one")
        print("two")
        time.sleep(600)
        return "too late"

    @runbook
    def lingers(context: Context) -> str:
        return context.step(linger)

    BOOKS = [lingers]
"""


@pytest.mark.nightly
@pytest.mark.once
@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.postgres)], ids=["file", "postgres"])
def test_lines_of_a_running_step_survive_a_kill(tmp_path, request, shared):
    url = request.getfixturevalue("postgres_url") if shared else f"sqlite:///{tmp_path / 'runbooks.db'}"
    with supervised(BOOKS, url, tmp_path) as (server,):
        session_id = server.client.execute("lingers")
        step = eventually(lambda: server.client.runs(session_id)[1:])[0]

        def lines():
            logs = server.client.get("/runs/getLogs", runID=step["id"]).json["logs"]
            return [(line["attempt"], line["text"]) for line in logs]

        eventually(lambda: len(lines()) == 2)
        assert server.client.session(session_id)["status"] == "Active"
        server.kill()
        (tmp_path / "again").touch()
        server.start()
        server.client.reaches(session_id, "Succeeded")
        assert lines() == [(1, "one"), (1, "two"), (2, "once more")]
