"""Lists stay small, even if their items are large."""

from __future__ import annotations

import pytest

from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.storage.interface import RunQuery
from airplane_runbooks.server.storage.rows import LONGEST_LISTED
from tests.support.browsing import Browser
from tests.support.servers import Client

LARGE = 3 * 1024 * 1024


def twice(text: str) -> str:
    """Return twice as much."""
    return text + text


@runbook
def large(context: Context, text: str = "") -> str:
    """Take and return a lot."""
    for _ in range(2):
        context.step(twice, text)
    return text


@pytest.fixture(scope="module", params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def server(request):
    url = "sqlite://" if request.param == "memory" else request.getfixturevalue("postgres").fresh()
    with RunbookServer([large], database=url) as server:
        yield server


@pytest.fixture(scope="module")
def api(server):
    client = Client(server)
    for length in (LARGE, LARGE, LARGE, 10):
        client.reaches(client.execute("large", {"text": "x" * length}), "Succeeded")
    yield client
    client.close()


def test_long_values_are_left_out_of_lists_and_shown_one_by_one(api):
    sessions, runs = (api.get(f"/{kind}/list") for kind in ("sessions", "runs"))
    assert len(sessions.body) < 100_000
    assert len(runs.body) < 100_000
    assert [session["paramValues"] for session in sessions.json["sessions"]] == [{"text": "x" * 10}, None, None, None]
    assert len(runs.json["runs"]) == 12
    session_id = sessions.json["sessions"][-1]["id"]
    assert api.session(session_id)["paramValues"] == {"text": "x" * LARGE}
    run = api.runs(session_id)[0]
    assert run["paramValues"] is None
    assert api.get("/runs/get", id=run["id"]).json["paramValues"] == {"text": "x" * LARGE}
    assert api.output(run) == "x" * LARGE
    blocks = api.get("/sessions/listBlocks", sessionID=session_id)
    assert len(blocks.body) < 100_000
    assert len(blocks.json["blocks"]) == 2


def test_they_are_not_even_read_from_the_database(api, server):
    store = server._lifecycle.services.store
    for run in [*store.runs(RunQuery()), *store.brief([run["id"] for run in api.get("/runs/list").json["runs"]])]:
        for held in (run.param_values, run.output, run.params, run.resources):
            assert len(held) <= LONGEST_LISTED


def test_clients_read_such_lists(api, server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        sessions = list(airplane.sessions.list())
        assert [dict(session.param_values) for session in sessions] == [{"text": "x" * 10}, {}, {}, {}]
        assert len(list(airplane.runs.list())) == 12
    generated = api.send("GET", "/runs/list", headers={"User-Agent": "speakeasy-sdk/go 3.2.3 2.291.0"})
    assert generated.status == 200


def test_pages_say_what_is_too_long_for_them(api, server):
    person = Browser(server.base_url, server.api_key)
    session_id = api.get("/sessions/list").json["sessions"][-1]["id"]
    page = person.get(f"/sessions/{session_id}")
    assert page.status == 200
    assert len(page.text) < 300_000
    assert page.text.count("Too long for this page") == 4  # arguments and outputs of two steps
    person.close()
