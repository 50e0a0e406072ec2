"""Calls whose server is killed while it carries them out."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import urllib3

from tests.support.servers import eventually
from tests.support.supervised import supervised

BOOKS = """
    from airplane_runbooks.server.service import sessions

    @runbook
    def counted(context: Context, number: int) -> int:
        return context.step(int, number, name="number")

    start = sessions.start

    def slow(*args):
        if (FOLDER / "slow").exists():
            note("executing")
            time.sleep(60)
        return start(*args)

    sessions.start = slow
    BOOKS = [counted]
"""


@pytest.mark.once
@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.postgres)])
def test_calls_of_a_killed_server_can_be_repeated_at_once(tmp_path, request, shared):
    url = request.getfixturevalue("postgres_url") if shared else f"sqlite:///{tmp_path / 'runbooks.db'}"
    with supervised(BOOKS, url, tmp_path) as (server,):
        (tmp_path / "slow").touch()

        def execute(number):
            return server.client.post(
                "/runbooks/execute",
                {"slug": "counted", "paramValues": {"number": number}},
                **{"Idempotency-Key": f"k{number}"},
            )

        def lose(number):
            with suppress(urllib3.exceptions.HTTPError):
                execute(number)

        callers = [threading.Thread(target=lose, args=(number,)) for number in range(4)]
        for caller in callers:
            caller.start()
        # on SQLite one is being carried out, and the others wait for the end of its transaction
        eventually(lambda: len(server.notes) == (4 if shared else 1))
        (tmp_path / "slow").unlink()
        server.kill()
        for caller in callers:
            caller.join()
        server.start()
        assert [execute(number).status for number in range(4)] == [200] * 4
        assert len(server.client.get("/sessions/list").json["sessions"]) == 4
