"""Sessions across restarts, changes of their code, and time."""

from __future__ import annotations

import sqlite3
import textwrap
from contextlib import ExitStack, closing
from datetime import timedelta

import pytest

from airplane_runbooks.server import Context, PromptCancelled, PromptExpired, RunbookServer, runbook
from airplane_runbooks.server.storage.errors import DatabaseInUse
from tests.support.servers import Client, eventually, served

CALLS = []


def note(what):
    CALLS.append(what)
    return what


def make(body, **options):
    """Write a runbook of the slug `changing`."""
    names = {"Context": Context, "note": note, "runbook": runbook, "PromptCancelled": PromptCancelled}
    source = "def changing(context: Context):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
    path = f"<changing {len(CALLS)} {id(source)}>"
    import linecache

    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), names)
    return runbook(names["changing"], **options) if not options else runbook(**options)(names["changing"])


ASKS = """
    context.step(note, "one")
    context.prompt("Go on?", go=bool)
    return "first"
"""
EDITED = ASKS.replace('"first"', '"second"')
COMMENTED = ASKS.replace("    return", "    # nothing that matters\n\n    return")


@pytest.fixture
def database(tmp_path):
    CALLS.clear()
    return f"sqlite:///{tmp_path / 'runbooks.db'}"


@pytest.fixture
def opened(database):
    """Start servers on one database, one after the other."""
    servers = []

    def start(*books, **options):
        for server, client in servers:
            client.close()
            server.close()
        servers.clear()
        server = RunbookServer(books, database=database, **options).start()
        servers.append((server, Client(server)))
        return servers[-1][1]

    yield start
    for server, client in servers:
        client.close()
        server.close()


def finish(api, session_id, status):
    api.reaches(session_id, status)
    return api.output(api.runs(session_id)[0])


@pytest.mark.parametrize(
    ("after", "options", "output"),
    [(ASKS, {}, "first"), (COMMENTED, {}, "first"), (EDITED, {"version": "1"}, "second")],
    ids=["same", "commented", "version kept"],
)
def test_a_session_continues_after_a_restart(opened, after, options, output):
    api = opened(make(ASKS, **options))
    session_id = api.execute("changing")
    prompt_id = api.open_prompt(session_id)["id"]
    api = opened(make(after, **options))
    assert api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}}).status == 200
    assert finish(api, session_id, "Succeeded") == output
    assert CALLS == ["one"]


@runbook
def expires(context: Context, seconds: float) -> str:
    """Ask, but not for ever."""
    try:
        context.prompt("Quick?", expires_in=timedelta(seconds=seconds), go=bool)
    except PromptExpired as problem:
        return str(problem)
    except PromptCancelled:
        return "cancelled"
    return "answered"


@pytest.mark.parametrize("durable", [True, False])
def test_a_prompt_that_expires_is_cancelled_without_a_user(opened, durable):
    with served(expires) as memory:
        api = opened(expires) if durable else memory
        session_id = api.execute("expires", {"seconds": 0.2})
        assert finish(api, session_id, "Succeeded") == "the prompt 'Quick?' expired"
        (_, run) = api.runs(session_id)
        (prompt,) = api.get("/prompts/list", runID=run["id"]).json["prompts"]
        assert prompt["cancelledAt"] is not None
        assert prompt["cancelledBy"] is prompt["submittedAt"] is None
        assert api.post("/prompts/submit", {"id": prompt["id"], "values": {"go": True}}).status == 409


def test_a_prompt_expires_while_no_server_runs(opened, database):
    api = opened(expires)
    session_id = api.execute("expires", {"seconds": 600})
    api.open_prompt(session_id)
    opened(make(ASKS))  # stops the other one, and does not know the runbook
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE runbook_prompts SET expires_at = created_at")
    api = opened(expires)
    eventually(lambda: api.session(session_id)["status"] in ("Succeeded", "Failed"))


@runbook
def quick(context: Context, number: int) -> int:
    return context.step(int, number, name="number")


def test_sessions_that_ended_long_ago_are_dropped(opened):
    api = opened(quick, keep_for=timedelta(seconds=1))
    session_id = api.execute("quick", {"number": 1})
    api.reaches(session_id, "Succeeded")
    eventually(lambda: api.get("/sessions/get", id=session_id).status == 404)
    assert api.get("/runs/list").json["runs"] == []


def test_the_latest_ended_sessions_are_kept(opened):
    api = opened(quick, keep_ended=3)
    ids = [api.execute("quick", {"number": number}) for number in range(8)]
    eventually(lambda: len(found := api.get("/sessions/list").json["sessions"]) == 3 and found)
    assert {one["id"] for one in api.get("/sessions/list").json["sessions"]} <= set(ids)


def test_a_second_server_on_the_same_file_is_refused(opened, database):
    opened(quick)
    with pytest.raises(DatabaseInUse, match=r"runbooks\.db is in use by process \d+"):
        RunbookServer([quick], database=database)
    assert opened(quick).finishes("quick", {"number": 2}) == 2


def test_servers_with_files_of_their_own_run_side_by_side(tmp_path):
    servers = [RunbookServer([quick], database=f"sqlite:///{tmp_path / name}") for name in ("one.db", "other.db")]
    with ExitStack() as stack:
        apis = [Client(stack.enter_context(server)) for server in servers]
        for api in apis:
            stack.callback(api.close)
        started = [[api.execute("quick", {"number": number}) for number in range(10)] for api in apis]
        for api, ids in zip(apis, started, strict=True):
            assert [finish(api, session_id, "Succeeded") for session_id in ids] == list(range(10))
            assert len(api.get("/sessions/list").json["sessions"]) == 10
