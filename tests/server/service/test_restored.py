"""A server on a restored database: what is unfinished waits for an operator."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from airplane_runbooks import Airplane, Conflict, Forbidden, NotFound
from airplane_runbooks.server import Context, RunbookServer, User, runbook, task
from airplane_runbooks.server.service import sessions
from airplane_runbooks.server.storage.backups import back_up, mark_restored, restore
from airplane_runbooks.server.web.pages import held, home
from tests.support.browsing import Browser
from tests.support.servers import Client, eventually

KEY, ADAS_KEY = "tkn_of_the_server", "tkn_ada_5d41402abc4b2a76"


@runbook
def ask(context: Context) -> bool:
    return context.prompt("Refund?", approve=bool, expires_in=timedelta(days=1))["approve"]


@pytest.fixture
def gate(tmp_path):
    """Return a file without which steps of `slow` do not end."""
    return tmp_path / "go on"


@pytest.fixture
def slow(gate):
    def wait() -> str:
        eventually(gate.exists)
        return "done"

    @runbook
    def slow(context: Context) -> str:
        return context.step(wait)

    return slow


@pytest.fixture
def chore(gate):
    @task
    def chore() -> str:
        eventually(gate.exists)
        return "tidy"

    return chore


@contextmanager
def serving(url, runbooks, tasks):
    ada = User("ada@example.com", ADAS_KEY)
    with RunbookServer(runbooks, tasks, database=url, api_key=KEY, users=[ada], grace=30) as server:
        yield server


@pytest.fixture
def restored(tmp_path, gate, slow, chore):
    """Yield a server on a backup of another one, with a client, and the IDs that were unfinished then."""
    original, copy = tmp_path / "original.db", tmp_path / "copy.db"
    with serving(f"sqlite:///{original}", [ask, slow], [chore]) as server:
        api = Client(server)
        asking, active = api.execute("ask"), api.execute("slow")
        run_id = api.post("/tasks/execute", {"slug": "chore"}).json["runID"]
        prompt_id = api.open_prompt(asking)["id"]
        eventually(lambda: len(api.runs(active)) == 2)
        back_up(original, tmp_path / "backup")
        gate.touch()
        api.close()
    restore(tmp_path / "backup", copy)
    with serving(f"sqlite:///{copy}", [ask, slow], [chore]) as server:
        api = Client(server)
        yield server, api, asking, prompt_id, active, run_id
        api.close()


def test_an_unfinished_session_goes_on_once_it_is_released(restored):
    server, api, asking, prompt_id, active, _ = restored
    assert [api.session(one)["status"] for one in (asking, active)] == ["Waiting", "Pending"]
    assert api.session(asking)["held"]["code"] == api.session(active)["held"]["code"] == "restored"
    submit = {"id": prompt_id, "values": {"approve": True}}
    for answer in (api.post("/prompts/submit", submit), api.post("/prompts/cancel", {"id": prompt_id})):
        assert (answer.status, answer.code) == (423, "restored")
        assert "restored from a backup" in answer.error
    with Airplane(KEY, base_url=server.base_url) as airplane:
        airplane.sessions.release(asking)
        airplane.sessions.release(active)
        assert api.session(asking)["held"] is None
        with pytest.raises(Conflict, match="is not held"):
            airplane.sessions.release(asking)
    assert api.post("/prompts/submit", submit).status == 200
    api.reaches(asking, "Succeeded")
    api.reaches(active, "Succeeded")


def test_only_an_operator_releases_what_is_there(restored):
    server, api, asking, *_ = restored
    with Airplane(ADAS_KEY, base_url=server.base_url) as airplane:
        with pytest.raises(Forbidden, match="the server's own key"):
            airplane.sessions.release(asking)
        with pytest.raises(Forbidden, match="the server's own key"):
            airplane.sessions.release_all()
        with pytest.raises(NotFound):
            airplane.sessions.release("ses1")
        with pytest.raises(NotFound):
            airplane.sessions.release("run1")
    assert api.session(asking)["held"]["code"] == "restored"


def test_all_that_is_held_is_released_at_once(restored):
    server, api, _, _, active, run_id = restored
    with Airplane(KEY, base_url=server.base_url) as airplane:
        assert airplane.sessions.release_all() == 3
        assert airplane.sessions.release_all() == 0
    api.reaches(active, "Succeeded")
    eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")


def test_the_run_of_a_task_is_released_by_its_id(restored):
    server, api, asking, _, _, run_id = restored
    with Airplane(KEY, base_url=server.base_url) as airplane:
        airplane.sessions.release(run_id)
    eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")
    assert api.session(asking)["held"]["code"] == "restored"


def test_held_sessions_can_be_cancelled_and_failed(restored):
    _, api, asking, _, active, _ = restored
    extensions = Client.__new__(Client)
    extensions.__dict__.update(api.__dict__, url=api.url.replace("/v0", "/ext/v0"))
    assert extensions.post("/sessions/cancel", {"id": asking}).status == 200
    assert extensions.post("/sessions/fail", {"id": active, "reason": "done by hand"}).status == 200
    assert [api.session(one)["status"] for one in (asking, active)] == ["Cancelled", "Failed"]
    assert api.session(active)["error"]["kind"] == "Restored"
    for body in ({}, {"id": asking, "all": True}):
        assert extensions.post("/sessions/release", body).code == "missing_field"


def test_the_time_that_a_prompt_was_held_is_given_back(restored, tmp_path):
    server, _, asking, *_ = restored

    def expires_at():
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            return copy.execute("SELECT expires_at FROM runbook_prompts").fetchone()[0]

    before = expires_at()
    with Airplane(KEY, base_url=server.base_url) as airplane:
        airplane.sessions.release(asking)
    assert expires_at() > before


@pytest.mark.postgres
def test_a_dump_is_restored_with_its_sessions_held(postgres, postgres_url, another_postgres_url, tmp_path):
    dump = tmp_path / "runbooks.dump"
    with serving(postgres_url, [ask], []) as server:
        api = Client(server)
        session_id = api.execute("ask")
        prompt_id = api.open_prompt(session_id)["id"]
        pg(
            postgres,
            "pg_dump",
            "--format=custom",
            "--exclude-table-data=runbook_servers",
            f"--file={dump}",
            f"--dbname={postgres_url}",
        )
        assert api.post("/prompts/submit", {"id": prompt_id, "values": {"approve": True}}).status == 200
        api.reaches(session_id, "Succeeded")
        api.close()
    pg(postgres, "pg_restore", "--no-owner", "--single-transaction", f"--dbname={another_postgres_url}", str(dump))
    mark_restored(another_postgres_url)
    with serving(another_postgres_url, [ask], []) as server:
        api = Client(server)
        submit = {"id": prompt_id, "values": {"approve": True}}
        assert api.post("/prompts/submit", submit).code == "restored"
        with Airplane(KEY, base_url=server.base_url) as airplane:
            airplane.sessions.release(session_id)
        assert api.post("/prompts/submit", submit).status == 200
        api.reaches(session_id, "Succeeded")
        api.close()


def pg(postgres, program, *arguments):
    command = [postgres.program(program), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})


def test_an_operator_releases_sessions_on_their_pages(restored):
    server, api, asking, _, active, _ = restored
    with closing(Browser(server.base_url, ADAS_KEY)) as ada, closing(Browser(server.base_url, KEY)) as operator:
        first = ada.get("/").text
        assert all(f'href="/sessions/{one}"' in first for one in (asking, active))
        assert ("There are more than these." in first, first.count('href="/held"')) == (False, 1)
        assert "<button" not in ada.get("/held").text.partition("<main")[2]
        assert 'value="release"' not in ada.get(f"/sessions/{asking}").text
        page = operator.get(f"/sessions/{asking}")
        fields = {"token": list(page.tokens())[-1], "action": "release"}
        assert operator.post(f"/sessions/{asking}", fields).status == 303
        assert api.session(asking)["held"] is None
        assert operator.post(f"/sessions/{asking}", fields).status == 409
        page = operator.get("/held")
        assert [f'href="/sessions/{one}"' in page.text for one in (asking, active)] == [False, True]
        assert ada.post("/held", {"token": list(page.tokens())[-1]}).status == 403
        assert operator.post("/held", {"token": list(page.tokens())[-1]}).location == "/held?released=2"
        page = operator.get("/held?released=2")
        assert "Nothing is held since a restore." in page.text
        assert "Released: 2.</p>" in page.text
        assert 'href="/held"' not in operator.get("/").text
    api.reaches(active, "Succeeded")


def test_the_home_page_shows_some_of_what_is_held(restored, monkeypatch):
    server, *_ = restored
    monkeypatch.setattr(home, "_MOST_HELD", 1)
    with closing(Browser(server.base_url, ADAS_KEY)) as ada:
        section = ada.get("/").text.partition('id="held"')[2].partition("</section>")[0]
    assert (section.count("<li>"), "There are more than these." in section) == (1, True)
    assert 'href="/held"' in section


def test_one_press_releases_as_many_as_there_is_time_for(restored, monkeypatch):
    server, *_ = restored
    monkeypatch.setattr(sessions, "MOST_RELEASED", 1)
    with closing(Browser(server.base_url, KEY)) as operator:
        page = operator.get("/held")
        assert "Released" not in page.text
        fields = {"token": list(page.tokens())[-1]}
        with monkeypatch.context() as patch:
            patch.setattr(held, "_LONGEST", 0)
            assert operator.post("/held", fields).location == "/held?released=1"
        assert "Released: 1. There was no time for the rest" in operator.get("/held?released=1").text
        assert operator.post("/held", fields).location == "/held?released=2"
        assert "Released" not in operator.get("/held?released=<b>").text
