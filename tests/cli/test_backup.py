"""The commands `backup`, `restore` and `release`."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from airplane_runbooks import Airplane
from airplane_runbooks.server import RunbookServer
from airplane_runbooks.server.errors import Conflict
from airplane_runbooks.server.service import sessions
from airplane_runbooks.server.storage.backups import mark_restored
from tests.cli.conftest import ask_first, refund
from tests.support.terminals import on_terminal
from tests.support.timing import eventually

KEY = "tkn_of_the_server"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runbooks.db"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "monday.backup"


@contextmanager
def serving(path):
    with RunbookServer([refund, ask_first], database=f"sqlite:///{path}", api_key=KEY) as server:
        yield server, {"AIRPLANE_API_KEY": KEY, "AIRPLANE_API_HOST": server.base_url.removesuffix("/v0")}


def test_a_database_is_backed_up_restored_and_released(command, path, file, tmp_path):
    database = {"AIRPLANE_DATABASE": f"sqlite:///{path}"}
    with serving(path) as (server, environment), Airplane(KEY, base_url=server.base_url) as airplane:
        session_ids = [airplane.runbooks.execute("ask_first").session_id for _ in range(2)]
        for session_id in session_ids:
            eventually(lambda session_id=session_id: airplane.sessions.prompts(session_id))
        saved = command("backup", str(file), **database)
        assert (saved.status, saved.out) == (0, f"{file}: 2 session(s), 2 unfinished session(s) or task(s)\n")
        assert command("restore", str(file), **database).status == 6

    new = tmp_path / "new.db"
    restored = command("restore", str(file), "--database", f"sqlite:///{new}", "--json")
    assert restored.status == 0
    assert json.loads(restored.out) | {"version": 0} == {"path": str(new), "version": 0, "sessions": 2, "unfinished": 2}
    assert f"There is no {new}.key." in restored.err
    with serving(new) as (server, environment), Airplane(KEY, base_url=server.base_url) as airplane:
        assert [airplane.sessions.get(one).held.code for one in session_ids] == ["restored"] * 2
        assert command("release", session_ids[0], **environment).status == 0
        refused = command("release", session_ids[0], **environment)
        assert (refused.status, "is not held" in refused.err) == (6, True)
        assert command("release", "--all", **environment).out == "1\n"
        assert command("release", "--all", **environment).out == "0\n"
        assert [airplane.sessions.get(one).held for one in session_ids] == [None] * 2


@pytest.fixture
def held(path):
    """Yield the environment of a server with three sessions that are held, which releases two at a time."""
    with serving(path) as (server, _), Airplane(KEY, base_url=server.base_url) as airplane:
        for session_id in [airplane.runbooks.execute("ask_first").session_id for _ in range(3)]:
            eventually(lambda session_id=session_id: airplane.sessions.prompts(session_id))
    mark_restored(f"sqlite:///{path}")
    with serving(path) as (_, environment), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "MOST_RELEASED", 2)
        yield environment


def test_lists_show_what_is_held_until_it_is_released(command, held):
    listed = [line.split("\t") for line in command("sessions", **held).out.splitlines()]
    assert [line[1::4] for line in listed] == [["Waiting", "held"]] * 3
    assert [line.split("\t")[4] for line in command("prompts", "list", **held).out.splitlines()] == ["held"] * 3
    for arguments in (("sessions",), ("prompts", "list")):
        documents = command(*arguments, "--json", **held).documents
        assert [document["held"]["code"] for document in documents] == ["restored"] * 3
    command("release", "--all", **held)
    assert all("held" not in document for document in command("sessions", "--json", **held).documents)
    assert not any(line.endswith("held") for line in command("prompts", "list", **held).out.splitlines())


def test_a_held_session_is_followed_and_asks_once_it_goes_on(command, held):
    session_id = command("sessions", "--limit", "1", "--json", **held).documents[0]["id"]
    with on_terminal("watch", session_id, env=held) as screen:
        screen.expect(f"Session {session_id} is held: the database was restored from a backup")
        command("release", "--all", **held)
        screen.expect("Approve")
        command("cancel", session_id, **held)
        screen.expect(f"session {session_id} was cancelled")
        assert screen.ends() == 4
    assert screen.text.count("is held") == 1


def test_a_held_prompt_is_not_asked(command, held):
    prompt_id = command("prompts", "list", "--json", **held).documents[0]["id"]
    with on_terminal("prompts", "answer", prompt_id, env=held) as screen:
        screen.expect("The prompt takes no answer for now: the session is held")
        assert screen.ends() == 6
    assert "Approve" not in screen.text


def test_all_are_released_in_as_many_calls_as_it_takes(command, held):
    assert command("release", "--all", **held).out == "3\n"


def test_a_failed_release_says_how_many_it_has_released(command, held, monkeypatch):
    release_some = sessions.release_all
    calls = []

    def release_once(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise Conflict("conflict", "no more of them")
        return release_some(*arguments)

    monkeypatch.setattr(sessions, "release_all", release_once)
    refused = command("release", "--all", **held)

    assert (refused.status, refused.out) == (6, "")
    assert refused.err.splitlines()[0] == "Released before this: 2."
    assert "no more of them" in refused.err


def test_a_database_is_marked_once_no_server_uses_it(command, path):
    database = f"sqlite:///{path}"
    with serving(path) as (server, _), Airplane(KEY, base_url=server.base_url) as airplane:
        session_id = airplane.runbooks.execute("ask_first").session_id
        eventually(lambda: airplane.sessions.prompts(session_id))
        refused = command("restore", "--mark", "--database", database)
        assert (refused.status, "is in use by process" in refused.err) == (6, True)
    marked = command("restore", "--mark", "--database", database)
    told = "1 session(s); 1 unfinished session(s) or task(s) will be held at the next start"
    assert (marked.status, marked.out) == (0, f"sqlite:///{path}: {told}\n")
    (document,) = command("restore", "--mark", "--database", database, "--json").documents
    assert document == {"database": f"sqlite:///{path}", "sessions": 1, "unfinished": 1}
    with serving(path) as (server, _), Airplane(KEY, base_url=server.base_url) as airplane:
        assert airplane.sessions.get(session_id).held.code == "restored"


def test_the_commands_say_where_the_key_to_secrets_is(command, path, file):
    with serving(path):
        assert command("backup", str(file), "--database", f"sqlite:///{path}").err == ""
        path.with_name("runbooks.db.key").write_text("the key")
        beside = command("backup", f"{file}.2", "--database", f"sqlite:///{path}")
        given = command("backup", f"{file}.3", "--database", f"sqlite:///{path}", AIRPLANE_ENCRYPTION_KEY="k")
        named = command("backup", f"{file}.4", "--database", f"sqlite:///{path}", AIRPLANE_ENCRYPTION_KEY_FILE="k")
    new = f"sqlite:///{path}.new"
    assert "There is no" not in command("restore", str(file), "--database", new, AIRPLANE_ENCRYPTION_KEY_FILE="k").err
    assert "the key that is in AIRPLANE_ENCRYPTION_KEY_FILE now" in named.err
    assert f"keep a copy of {path}.key in another place" in beside.err
    assert "the key that is in AIRPLANE_ENCRYPTION_KEY now" in given.err


def test_a_mark_without_a_database_is_refused(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = command("restore", "--mark", AIRPLANE_DATABASE=None)
    assert (refused.status, refused.out) == (6, "")
    assert refused.err == f"Error: there is no database {tmp_path / 'runbooks.db'}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["restore"], ["restore", "a.backup", "--mark"], ["release"], ["release", "ses1", "--all"]]
)
def test_an_ambiguous_command_is_refused(command, arguments):
    ended = command(*arguments)
    assert ended.status == 2
    assert "Name either" in ended.err


def test_a_backup_of_postgresql_names_its_own_programs(command, file):
    ended = command("backup", str(file), AIRPLANE_DATABASE="postgresql://me:hidden@h/name")
    assert ended.status == 6
    assert "pg_dump" in ended.err
    assert "hidden" not in ended.err


def test_a_password_in_an_argument_is_refused(command, tmp_path):
    url = "postgresql://ada:secret@127.0.0.1:1/x"
    refused = command("restore", "--mark", "--database", url)
    tried = command("restore", "--mark", AIRPLANE_DATABASE=url)

    assert refused.status == 2
    assert "set AIRPLANE_DATABASE" in refused.err
    assert "set AIRPLANE_DATABASE" not in tried.err
    assert "secret" not in refused.err + tried.err
