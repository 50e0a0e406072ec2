"""A server without the key that sealed what its database holds says so, and makes no other key."""

from __future__ import annotations

import logging
from typing import Annotated

import pytest
from cryptography.fernet import Fernet

from airplane_runbooks.server import Context, Field, RunbookServer, runbook
from airplane_runbooks.server.secrets.vault import KEY_VARIABLE, Vault, VaultError
from tests.support.browsing import Browser
from tests.support.servers import Client, eventually

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
PIN = {"pin": "whisper-whisper"}


@runbook
def guarded(context: Context, token: Annotated[str, Field(secret=True)] = "") -> str:
    """Ask for a secret, twice; the first one is in no parameter of the session."""
    first = context.prompt("First?", pin=Field(str, secret=True))
    context.prompt(f"Is it {first['pin']}?", pin=Field(str, secret=True))
    return token


@pytest.fixture(autouse=True)
def no_key_around(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'runbooks.db'}"


def waiting(url, values, *, answers=0, **options):
    """Start a session, answer some of its prompts, and return its ID with that of the open one."""
    with RunbookServer([guarded], database=url, **options) as server:
        api = Client(server)
        session_id = api.execute("guarded", values)
        for _ in range(answers):
            assert api.answer(session_id, **PIN).status == 200
        prompt_id = api.open_prompt(session_id)["id"]
        api.close()
    return session_id, prompt_id


def answer(api, prompt_id):
    return api.post("/prompts/submit", {"id": prompt_id, "values": PIN})


@pytest.mark.parametrize(("values", "answers"), [({"token": "hunter2-hunter2"}, 0), ({}, 1)], ids=["value", "answer"])
def test_a_server_makes_no_key_beside_sealed_values(tmp_path, values, answers):
    database = tmp_path / "runbooks.db"
    waiting(f"sqlite:///{database}", values, answers=answers, encryption_key=OLD)

    with pytest.raises(VaultError, match=f"set {KEY_VARIABLE} to the key that sealed them") as refused:
        RunbookServer([], database=f"sqlite:///{database}")

    assert f"{database}.key" in str(refused.value)
    assert not database.with_name("runbooks.db.key").exists()
    RunbookServer([guarded], database=f"sqlite:///{database}", encryption_key=OLD).close()


def test_a_key_file_that_is_gone_is_not_made_again(tmp_path):
    database = tmp_path / "runbooks.db"
    waiting(f"sqlite:///{database}", {"token": "hunter2-hunter2"})
    beside = database.with_name("runbooks.db.key")
    RunbookServer([guarded], database=f"sqlite:///{database}").close()
    key = beside.read_bytes()
    beside.unlink()

    with pytest.raises(VaultError, match="their key is missing"):
        RunbookServer([guarded], database=f"sqlite:///{database}")

    beside.write_bytes(key)
    beside.chmod(0o600)
    RunbookServer([guarded], database=f"sqlite:///{database}").close()


def test_the_making_of_a_key_file_is_logged_once(tmp_path, caplog):
    for _ in range(2):
        RunbookServer([guarded], database=f"sqlite:///{tmp_path / 'runbooks.db'}").close()

    made = [record.getMessage() for record in caplog.records if "made the key file" in record.getMessage()]
    assert made == [
        f"made the key file {tmp_path / 'runbooks.db.key'} for secret values: keep a copy of it apart from backups"
    ]


@pytest.mark.parametrize(
    ("keys", "warns"), [(NEW, True), (f"{NEW},{OLD}", False), (OLD, False)], ids=["other", "both", "same"]
)
def test_a_server_warns_at_its_start_of_what_it_cannot_open(url, caplog, keys, warns):
    waiting(url, {"token": "hunter2-hunter2"}, encryption_key=OLD)
    caplog.clear()

    RunbookServer([guarded], database=url, encryption_key=keys).close()

    warned = [record for record in caplog.records if "cannot be opened" in record.getMessage()]
    assert [record.levelno for record in warned] == [logging.WARNING] * warns
    assert all(
        "of 1 values of unfinished sessions that were tried, 1 cannot be opened" in record.getMessage()
        for record in warned
    )
    assert OLD not in caplog.text
    assert NEW not in caplog.text


def test_a_server_needs_no_key_of_sessions_that_have_ended(url, caplog):
    with RunbookServer([guarded], database=url, encryption_key=OLD) as server:
        api = Client(server)
        session_id = api.execute("guarded", {"token": "hunter2-hunter2"})
        for _ in range(2):
            assert api.answer(session_id, **PIN).status == 200
        api.reaches(session_id, "Succeeded")
        api.close()
    caplog.clear()

    with RunbookServer([guarded], database=url, encryption_key=NEW) as server:
        api = Client(server)
        assert api.session(session_id)["status"] == "Succeeded"
        assert api.get("/runs/list").status == 200
        api.close()

    assert "cannot be opened" not in caplog.text


@pytest.mark.parametrize("answers", [0, 1], ids=["value", "prompt"])
def test_an_answer_that_needs_a_missing_key_is_locked(url, caplog, answers):
    session_id, prompt_id = waiting(url, {"token": "hunter2-hunter2"}, answers=answers, encryption_key=OLD)
    with RunbookServer([guarded], database=url, encryption_key=NEW) as server:
        api = Client(server)
        refused = answer(api, prompt_id)
        assert (refused.status, refused.json["code"]) == (423, "encryption_key_missing")
        assert "sealed with a key that this server does not have" in refused.json["error"]
        assert refused.headers["x-airplane-retryable"] == "false"
        api.close()
    assert "/prompts/submit': a secret value was sealed with a key" in caplog.text
    with RunbookServer([guarded], database=url, encryption_key=f"{NEW},{OLD}") as server:
        api = Client(server)
        assert answer(api, prompt_id).status == 200
        assert api.get("/sessions/get", id=session_id).status == 200
        api.close()


def test_the_page_of_a_locked_prompt_says_why(tmp_path):
    url = f"sqlite:///{tmp_path / 'runbooks.db'}"

    @runbook
    def asks(context: Context, token: Annotated[str, Field(secret=True)]) -> None:
        """Ask a question whose field is masked."""
        context.prompt("Right?", copy=Field(str, default=token))

    with RunbookServer([asks], database=url, encryption_key=OLD) as server:
        api = Client(server)
        prompt_id = api.open_prompt(api.execute("asks", {"token": "hunter2-hunter2"}))["id"]
        api.close()
    with RunbookServer([asks], database=url, encryption_key=NEW) as server:
        browser = Browser(server.base_url, server.api_key)
        page = browser.get(f"/prompts/{prompt_id}")
        browser.close()
    assert page.status == 423
    assert "server lacks an encryption key" in page.text


def test_the_log_says_once_that_a_session_cannot_be_executed(tmp_path, caplog, monkeypatch):
    url, tries = f"sqlite:///{tmp_path / 'runbooks.db'}", []
    session_id, prompt_id = waiting(url, {"token": "hunter2-hunter2"}, encryption_key=OLD)

    def opening(vault, sealed, original=Vault.open):
        tries.append(sealed)
        return original(vault, sealed)

    with RunbookServer([guarded], database=url, encryption_key=NEW) as server:
        api = Client(server)
        monkeypatch.setattr(Vault, "open", opening)
        assert api.post("/prompts/cancel", {"id": prompt_id}).status == 200
        eventually(lambda: len(tries) >= 3)
        assert api.session(session_id)["status"] == "Active"
        api.close()

    assert len([one for one in caplog.records if "cannot be executed here" in one.getMessage()]) == 1
    assert "a secret value was sealed with a key that this server does not have" in caplog.text
    assert "will be tried again" not in caplog.text
