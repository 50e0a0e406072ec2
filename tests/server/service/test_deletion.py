"""Sessions that an operator deletes: nothing of them is left, neither in a table nor in the file."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest
import sqlalchemy as sa

from airplane_runbooks import Airplane, CallOptions, Conflict, Forbidden, NotFound, Upload
from airplane_runbooks.server import Context, RunbookServer, User, Webhook, runbook
from airplane_runbooks.server.storage.tables import METADATA
from tests.support.browsing import Browser
from tests.support.servers import Client, eventually

KEY, ADAS_KEY = "tkn_of_the_server", "tkn_ada_5d41402abc4b2a76"
MARK = "Wilhelmina Murray-4711"
NOWHERE = "https://receiver.invalid/hook"  # reserved, so it has no address
NAMES = ("runs", "sessions", "prompts", "logs", "keys", "deliveries", "upload_uses", "upload_chunks")
TABLES = {f"runbook_{name}" for name in NAMES}

logger = logging.getLogger("tests.deletion")


def greet(name: str) -> str:
    logger.warning("greeting %s", name)
    return f"Dear {name}"


@runbook
def letter(context: Context, name: str, enclosed: Upload | None = None) -> str:
    greeting = context.step(greet, name)
    context.prompt(f"Write to {name}?", note=str)
    return greeting


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path}/runbooks.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def server(url):
    hook = Webhook(NOWHERE, secret="whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    ada = User("ada@example.com", ADAS_KEY)
    with RunbookServer([letter], database=url, api_key=KEY, users=[ada], notify=[hook], capture_logs=True) as server:
        yield server


@pytest.fixture
def api(server):
    with closing(Client(server)) as api:
        yield api


@pytest.fixture
def airplane(server):
    with Airplane(KEY, base_url=server.base_url) as airplane:
        yield airplane


def written(airplane, api, name):
    """Return the ID of a session that has ended, and whose calls had idempotency keys."""
    options = CallOptions(idempotency_key=f"write to {len(name)}")
    values = {"name": name, "enclosed": airplane.uploads.create(name.encode(), name="enclosed.txt")}
    session_id = airplane.runbooks.execute("letter", values, options=options).session_id
    prompt_id = api.open_prompt(session_id)["id"]
    airplane.prompts.submit(prompt_id, values={"note": f"for {name}"})
    api.reaches(session_id, "Succeeded")
    return session_id


def ids(server, session_id):
    """Return what the IDs of a session have in common, and the ID of its root run."""
    return session_id.removeprefix("ses"), server._lifecycle.services.store.session(session_id).run_id


def tables_with(server, *needles):
    """Return the names of the tables that have one of these texts in a column."""
    found = set()
    with server._lifecycle.services.store.database.read() as connection:
        for name, table in METADATA.tables.items():
            for row in connection.execute(sa.select(table)):
                text = "\n".join(one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in row)
                if any(needle in text for needle in needles):
                    found.add(name)
    return found


def test_a_deleted_session_leaves_nothing_in_any_table(server, api, airplane):
    session_id, other = written(airplane, api, MARK), written(airplane, api, "Jonathan")
    of_session, of_other = (MARK, *ids(server, session_id)), ("Jonathan", *ids(server, other))
    for needles in (of_session, of_other):
        eventually(lambda needles=needles: tables_with(server, *needles) == TABLES)
    airplane.sessions.delete(session_id)
    assert tables_with(server, *of_session) == set()
    assert tables_with(server, *of_other) == TABLES


def test_a_deleted_session_is_not_found_anywhere(server, api, airplane):
    session_id = written(airplane, api, MARK)
    root_id, step_id = (run["id"] for run in api.runs(session_id)[:2])
    airplane.sessions.delete(session_id)
    for call in (airplane.sessions.get, airplane.sessions.cancel, airplane.sessions.delete):
        with pytest.raises(NotFound):
            call(session_id)
    for run_id in (root_id, step_id):
        with pytest.raises(NotFound):
            airplane.runs.get(run_id)
    with closing(Browser(server.base_url, KEY)) as browser:
        assert browser.get(f"/sessions/{session_id}").status == 404
        assert browser.get(f"/sessions/{session_id}/delete").status == 404
        assert session_id not in browser.get("/sessions").text


def test_a_session_that_has_not_ended_is_not_deleted(api, airplane):
    session_id = api.execute("letter", {"name": MARK})
    api.open_prompt(session_id)
    with pytest.raises(Conflict, match="cancel it first") as refused:
        airplane.sessions.delete(session_id)
    assert refused.value.code == "session_running"
    airplane.sessions.cancel(session_id)
    api.reaches(session_id, "Cancelled")
    airplane.sessions.delete(session_id)
    with pytest.raises(NotFound):
        airplane.sessions.get(session_id)


def test_only_an_operator_deletes_a_session(server, api, airplane):
    session_id = written(airplane, api, MARK)
    with Airplane(ADAS_KEY, base_url=server.base_url) as adas, pytest.raises(Forbidden) as refused:
        adas.sessions.delete(session_id)
    assert refused.value.code == "operators_only"
    with closing(Browser(server.base_url, ADAS_KEY)) as ada:
        assert f"/sessions/{session_id}/delete" not in ada.get(f"/sessions/{session_id}").text
        assert ada.get(f"/sessions/{session_id}/delete").status == 403
    assert airplane.sessions.get(session_id).status == "Succeeded"


def test_an_operator_deletes_a_session_after_a_question(server, api, airplane):
    session_id = written(airplane, api, MARK)
    with closing(Browser(server.base_url, KEY)) as operator:
        assert f'href="/sessions/{session_id}/delete"' in operator.get(f"/sessions/{session_id}").text
        page = operator.get(f"/sessions/{session_id}/delete")
        assert "Delete this session?" in page.text
        fields = {"token": list(page.tokens())[-1], "action": "delete"}
        assert operator.post(f"/sessions/{session_id}", {**fields, "token": "wrong"}).status == 403
        assert operator.post(f"/sessions/{session_id}", fields).location == "/sessions"
        assert operator.post(f"/sessions/{session_id}", fields).status == 404


def test_the_question_is_not_asked_of_one_that_has_not_ended(server, api):
    session_id = api.execute("letter", {"name": MARK})
    api.open_prompt(session_id)
    with closing(Browser(server.base_url, KEY)) as operator:
        assert f"/sessions/{session_id}/delete" not in operator.get(f"/sessions/{session_id}").text
        assert operator.get(f"/sessions/{session_id}/delete").location == f"/sessions/{session_id}"


def test_a_repeated_call_starts_a_new_session_after_deletion(api, airplane):
    first = written(airplane, api, MARK)
    airplane.sessions.delete(first)
    options = CallOptions(idempotency_key=f"write to {len(MARK)}")
    assert airplane.runbooks.execute("letter", {"name": MARK}, options=options).session_id != first


def test_a_file_of_another_session_stays(airplane, api):
    enclosed = airplane.uploads.create(b"to both", name="both.txt")
    first, second = (
        airplane.runbooks.execute("letter", {"name": name, "enclosed": enclosed}).session_id for name in ("Ada", "Bob")
    )
    for session_id in (first, second):
        api.answer(session_id, note="")
        api.reaches(session_id, "Succeeded")
    airplane.sessions.delete(first)
    assert airplane.uploads.get(enclosed.id) == enclosed
    airplane.sessions.delete(second)
    with pytest.raises(NotFound):
        airplane.uploads.get(enclosed.id)


def test_a_deleted_session_leaves_nothing_in_the_file(tmp_path):
    path = tmp_path / "runbooks.db"
    with (
        RunbookServer([letter], database=f"sqlite:///{path}", api_key=KEY) as server,
        Airplane(KEY, base_url=server.base_url) as airplane,
        closing(Client(server)) as api,
    ):
        airplane.sessions.delete(written(airplane, api, MARK * 300))
    assert MARK.encode() not in path.read_bytes()
    assert not path.with_name("runbooks.db-wal").exists()
