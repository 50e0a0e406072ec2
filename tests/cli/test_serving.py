"""The command `serve`, as a process of its own, with and without reloading."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import click
import pytest

from airplane_runbooks import NO_RETRY, Airplane, AirplaneError
from airplane_runbooks.cli.reloading import snapshot
from airplane_runbooks.cli.serving import serve
from airplane_runbooks.server.configuration import all_settings
from airplane_runbooks.server.secrets.vault import new_key
from tests.support.processes import running
from tests.support.timing import PATIENCE, eventually

KEY = "tkn_of_the_command_line"
MODULE = """
from airplane_runbooks.server import Context, runbook

@runbook
def {name}(context: Context) -> None: ...
"""

VAULTS = """
from typing import Annotated
from airplane_runbooks.server import Context, Field, runbook

@runbook
def open_vault(context: Context, code: Annotated[str, Field(secret=True)]) -> int:
    context.prompt("Go on?", go=bool)
    return len(code)
"""


def address(process):
    """Return the URL that the next line about a start tells."""
    return next(found[0] for line in process.stderr if (found := re.search(r"http://127\S+", line)))


@contextmanager
def serving(folder, *arguments, **env):
    program = [sys.executable, "-m", "airplane_runbooks", "serve", *arguments]
    environment = {**os.environ, "AIRPLANE_API_KEY": KEY, **env}
    with running(program, cwd=folder, env=environment, stderr=subprocess.PIPE) as process:
        yield process


def slugs(url, key=KEY):
    try:
        with Airplane(key, base_url=url, retry=NO_RETRY) as airplane:
            return [runbook.slug for runbook in airplane.runbooks.list(timeout=5)]
    except AirplaneError:
        return []


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "books.py").write_text(MODULE.format(name="first"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    return tmp_path


def test_a_module_is_served_until_a_signal(folder):
    with serving(folder, "books", "--port", "0") as process:
        url = process.stderr.readline().split()[2]
        found = slugs(url)
        process.send_signal(signal.SIGTERM)

        assert found == ["first"]
        assert process.wait(PATIENCE) == 0
        assert (folder / "runbooks.db").exists()


def test_settings_come_from_options_and_the_environment(folder):
    users = [{"email": "ada@example.com", "apiKey": "tkn_ada_has_a_long_key", "groups": ["ops"]}]
    (folder / "users.json").write_text(json.dumps(users))
    (folder / "keys").write_text("tkn_first_of_two_keys\ntkn_second_of_two_keys\n")
    files = ("--users-file", "users.json", "--api-key-file", "keys", "--database", "sqlite://", "--keep-for", "60h")
    env = {"AIRPLANE_PORT": "0", "AIRPLANE_ENVIRONMENTS": "prod,dev", "AIRPLANE_MAX_BODY": "4096"}
    with serving(folder, "books.py", *files, **env) as process:
        url = process.stderr.readline().split()[2]
        found = [slugs(url, key) for key in ("tkn_ada_has_a_long_key", "tkn_second_of_two_keys", KEY)]

        assert found == [["first"], ["first"], []]
        assert not (folder / "runbooks.db").exists()
        with Airplane("tkn_first_of_two_keys", base_url=url, env_slug="dev") as airplane:
            assert airplane.runbooks.execute("first").session_id
            with pytest.raises(AirplaneError, match="413"):
                airplane.runbooks.execute("first", {"text": "x" * 5000})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("books", "--workers", "0"), "The server cannot start: --workers: workers must be a whole number of"),
        (
            ("books", "--workers", "x"),
            "The server cannot start: --workers must be a whole number of at least 1, not 'x'",
        ),
        (("books", "--host", "192.0.2.1", "--port", "0"), "The server cannot start: "),
        (("books", "--encryption-key-file", os.devnull), "start: --encryption-key-file is empty: it must be a Fernet"),
        (("books", "--users-file", "binary"), "start: --users-file: binary is not a text file"),
        (("books", "--users-file", "books.py"), "The server cannot start: --users-file must be a JSON list of"),
        (("books", "--database", "mysql://localhost/x"), "The server cannot start: a database of this kind"),
        (("books", "--database", "postgresql://a:b@localhost/x"), "Others can read a password in an argument"),
        (("nowhere",), "There is no module nowhere."),
    ],
    ids=["worker", "number", "host", "no-key", "binary", "users", "database", "password", "module"],
)
def test_settings_that_cannot_work_end_with_status_2(command, folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ended = command("serve", *arguments)
    sys.modules.pop("books", None)

    assert ended.status == 2
    assert message in " ".join(ended.err.split())


def test_every_setting_that_is_a_text_has_an_option():
    options = [one for one in serve.get_params(click.Context(serve)) if isinstance(one, click.Option)]
    names = {name: option.opts[0] for option in options for name in [option.name]}

    for setting in all_settings():
        assert (names.get(setting.name) == setting.option) is (setting.kind is not None)


@pytest.mark.nightly
def test_a_change_starts_the_server_again_with_the_same_keys(folder):
    with serving(folder, "books", "--port", "0", "--reload") as process:
        assert slugs(address(process)) == ["first"]
        (folder / "books.py").write_text("this is not Python")
        while "waiting for a change" not in process.stderr.readline():
            pass
        (folder / "books.py").write_text(MODULE.format(name="second"))
        url = address(process)
        assert slugs(url) == ["second"]
        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE) == 0
        assert slugs(url) == []


def test_a_killed_supervisor_leaves_no_server_behind(folder):
    with serving(folder, "books", "--port", "0", "--reload", AIRPLANE_API_KEY="") as process:
        key = process.stderr.readline().split()[-1]
        url = address(process)
        assert slugs(url, key) == ["first"]
        process.kill()
        process.wait(PATIENCE)

        assert eventually(lambda: not slugs(url, key))


@pytest.mark.nightly
def test_a_secret_outlives_a_restore_with_its_key_file(command, tmp_path):
    (tmp_path / "vaults.py").write_text(VAULTS)
    for name in ("right", "wrong"):
        (tmp_path / name).write_text(f"{new_key()}\n")
    old, new, backup = (str(tmp_path / name) for name in ("old.db", "new.db", "backup"))
    options = ("vaults.py", "--port", "0", "--database")
    with serving(tmp_path, *options, f"sqlite:///{old}", AIRPLANE_ENCRYPTION_KEY_FILE="right") as process:
        with Airplane(KEY, base_url=address(process)) as airplane:
            session_id = airplane.runbooks.execute("open_vault", {"code": "hunter-two"}).session_id
            prompt = eventually(lambda: airplane.sessions.prompts(session_id))[0]
        assert command("backup", backup, AIRPLANE_DATABASE=f"sqlite:///{old}").status == 0
    assert command("restore", backup, AIRPLANE_DATABASE=f"sqlite:///{new}").status == 0
    assert b"hunter-two" not in (tmp_path / "new.db").read_bytes()

    for key, end in (("wrong", "Waiting"), ("right", "Succeeded")):
        with serving(tmp_path, *options, f"sqlite:///{new}", "--encryption-key-file", key) as process:
            url = address(process)
            here = {"AIRPLANE_API_HOST": url.removesuffix("/v0"), "AIRPLANE_API_KEY": KEY}
            assert command("doctor", **here).status == 0
            with Airplane(KEY, base_url=url) as airplane:
                if key == "right":
                    assert command("release", session_id, **here).status == 0
                    airplane.prompts.submit(prompt.id, {"go": True})
                    assert airplane.sessions.wait(session_id, wait_timeout=PATIENCE).output == 10
                assert airplane.sessions.get(session_id).status == end


def test_a_snapshot_leaves_out_what_is_not_the_authors_own(tmp_path):
    for name in ("one.py", "sub/two.py", ".git/three.py", "__pycache__/four.py", "env/five.py", "six.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")

    assert sorted(path.name for path in snapshot(tmp_path)) == ["one.py", "two.py"]
