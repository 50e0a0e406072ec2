"""What is secret is seen by the runbook alone: not on the wire, on pages, in logs, in the database, or in spans."""

from __future__ import annotations

import logging
from typing import Annotated

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airplane_runbooks.server import Context, Field, RunbookServer, runbook
from airplane_runbooks.server.vault import KEY_VARIABLE, VaultError
from tests.server.browsing import Browser
from tests.server.support import Client

TOKEN, PIN = "hunter2-hunter2", "whisper-whisper"
SEEN = []


def login(token: str) -> dict:
    SEEN.append(token)
    return {"session": f"cookie of {token}"}


def complain(token: str) -> None:
    raise ValueError(f"bad token {token}")


Secret = Annotated[str, Field(secret=True)]


@runbook
def guarded(context: Context, token: Secret, bad: bool = False) -> str:
    """Carry two secrets about as carelessly as can be."""
    cookie = context.step(login, token, name=f"log in with {token}")
    answer = context.prompt(f"Is {token} right?", confirm_text="Yes", pin=Field(str, secret=True), copy=str)
    SEEN.append(cookie["session"])
    SEEN.append(answer["pin"])
    if bad:
        context.step(complain, answer["pin"])
    return f"{token} and {answer['pin']}"


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    SEEN.clear()
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.mark.parametrize("bad", [False, True])
def test_secrets_are_seen_by_the_runbook_alone(tmp_path, caplog, bad):
    caplog.set_level(logging.DEBUG)
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    database = tmp_path / "runbooks.db"
    with RunbookServer([guarded], database=f"sqlite:///{database}", tracer_provider=provider) as server:
        api, browser = Client(server), Browser(server.base_url, server.api_key)
        session_id = api.execute("guarded", {"token": TOKEN, "bad": bad})
        prompt_id = api.open_prompt(session_id)["id"]
        shown = browser.get(f"/prompts/{prompt_id}").text
        assert 'type="password"' in shown
        values = {"pin": PIN, "copy": f"{PIN} {TOKEN}"}
        assert api.post("/prompts/submit", {"id": prompt_id, "values": values}).status == 200
        api.reaches(session_id, "Failed" if bad else "Succeeded")
        for path in ("/", f"/sessions/{session_id}", f"/prompts/{prompt_id}"):
            shown += browser.get(path).text
        session = api.get("/sessions/get", id=session_id)
        assert session.json["paramValues"] == {"token": "********", "bad": bad}
        runs = api.get("/runs/list", sessionID=session_id)
        shown += session.body.decode() + runs.body.decode()
        for run in runs.json["runs"]:
            shown += str(api.output(run)) + api.get("/prompts/list", runID=run["id"]).body.decode()
        api.close()
        browser.close()
        on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    on_disk += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert SEEN[:3] == [TOKEN, f"cookie of {TOKEN}", PIN]
    for secret in (TOKEN, PIN):
        assert secret not in shown
        assert secret not in spans
        assert secret not in caplog.text
        assert secret.encode() not in on_disk
    assert "********" in shown
    assert len(exporter.get_finished_spans()) > 10


def test_a_secret_survives_its_server(tmp_path):
    database = f"sqlite:///{tmp_path / 'runbooks.db'}"
    with RunbookServer([guarded], database=database) as server:
        api = Client(server)
        session_id = api.execute("guarded", {"token": TOKEN})
        prompt_id = api.open_prompt(session_id)["id"]
        api.close()
    with RunbookServer([guarded], database=database) as server:
        api = Client(server)
        assert api.post("/prompts/submit", {"id": prompt_id, "values": {"pin": PIN, "copy": "c"}}).status == 200
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == "******** and ********"
        api.close()
    assert [TOKEN, f"cookie of {TOKEN}", PIN] == SEEN


@pytest.mark.postgres
def test_servers_that_share_a_database_must_be_given_a_key(postgres_url):
    with pytest.raises(VaultError, match="encryption_key"):
        RunbookServer([guarded], database=postgres_url)


def test_only_strings_are_secret():
    with pytest.raises(TypeError, match="pin: multiline and secret are for strings"):

        @runbook
        def wrong(context: Context, pin: Annotated[int, Field(secret=True)]) -> None:
            """Never called."""
