"""Secrets are seen by the runbook alone: not in replies, pages, logs, the database or spans."""

from __future__ import annotations

import base64
import html
import json
import logging
import shlex
from contextlib import suppress
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import urllib3
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import Context, Field, RunbookServer, StepFailed, User, runbook, task
from airplane_runbooks.server.secrets.vault import KEY_VARIABLE, VaultError
from tests.support.browsing import Browser
from tests.support.servers import Client, eventually

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
    """Use two secrets as carelessly as possible."""
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


class Everything(NamedTuple):
    """The visible part of a server: its replies, its pages, and its files."""

    seen: str
    on_disk: bytes


def look(server, api, tmp_path) -> Everything:
    """Read all that an API key gives access to, and all that a thief of the disk has."""
    browser = Browser(server.base_url, server.api_key)
    seen = browser.get("/").text
    seen += api.get("/sessions/list").body.decode() + api.get("/runs/list").body.decode()
    seen += "".join(
        urllib3.request("GET", f"{server.base_url[:-3]}/ext/v0/{path}", headers=api.headers).data.decode()
        for path in ("runbooks/list", "tasks/list")
    )
    for session in api.get("/sessions/list").json["sessions"]:
        seen += browser.get(f"/sessions/{session['id']}").text
        for run in api.runs(session["id"]):
            seen += api.get("/runs/get", id=run["id"]).body.decode() + str(api.output(run))
            for prompt in api.get("/prompts/list", runID=run["id"]).json["prompts"]:
                seen += api.get("/prompts/get", id=prompt["id"]).body.decode()
                seen += browser.get(f"/prompts/{prompt['id']}").text
    browser.close()
    return Everything(seen, b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.suffix != ".key"))


def spread(token: str) -> list[Any]:
    """Return a secret in the forms in which programs pass it on."""
    bare = token.strip()
    number = [int(bare), float(bare), {bare: int(bare)}] if bare.isdecimal() else []
    return [
        token,
        bare,
        {"headers": {"Authorization": f"Bearer {bare}", bare: 1}, "lines": token.splitlines()},
        json.dumps({"body": json.dumps({"token": token})}),
        repr([token, "'\""]),
        repr(token.encode()),
        shlex.quote(token),
        f"https://host/?{urlencode({'token': token})}&next={quote(urlencode({'token': token}))}",
        html.escape(token),
        base64.b64encode(token.encode()).decode(),
        base64.urlsafe_b64encode(f"user:{token}".encode()).decode(),
        token.encode().hex(),
        *number,
    ]


def fail(token: str) -> None:
    class Odd(Exception):
        pass

    Odd.__name__ = Odd.__qualname__ = f"Odd {token}"
    raise Odd(f"{spread(token)} {[token]!r}") from ValueError(token)


@task
def passed_on(token: Secret) -> list:
    """Return a secret in many forms."""
    return spread(token)


@runbook
def careless(context: Context, token: Secret) -> list:
    """Write a secret wherever a runbook can write."""
    bare = token.strip()
    kept = context.step(spread, token, name=f"spread {token!r}")
    assert kept == json.loads(json.dumps(spread(token)))
    with suppress(StepFailed):
        context.step(fail, kept, name=json.dumps(token))
    answer = context.prompt(
        f"Is {token!r} right?",
        reviewers=Reviewers(users=(f"{bare}@example.com",), groups=("everybody",)),
        confirm_text=f"Yes, {token}",
        cancel_text=f"No, {quote(bare)}",
        again=Field(
            str, secret=True, default=token, options=[token, "another"], regex="(?s).*", description=f"{token!r}"
        ),
        chosen=Field(str, name=f"Or {bare}", options=["public", bare, f"not {bare}"], default=bare),
        notes=Field(str, default=f"https://{bare}@host"),
        nested=Field(dict[str, str], default={"token": bare}),
    )
    SEEN.append(answer)
    context.step(lambda *args, **named: None, kept, [token], *kept, **{bare: token}, name="many arguments")
    return kept


SHAPES = [
    "padded-token\n",
    'it\'s "quoted" \\ twice',
    "-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----\n",
    "sö crét&<é>%/+",
    "$(printf `x`)!",
    "471193",
    " 8833551 ",
]


def traces(token: str) -> set[str]:
    """Return the texts that must not be found."""
    texts = {text for form in [token, *spread(token)] for text in ([form] if isinstance(form, str) else [])}
    lines = {line.strip() for line in token.splitlines()}
    encoded = {base64.b64encode(f"{'x' * n}{token}yyy".encode()).decode()[2 * n : -6] for n in range(3)}
    numbers = {str(int(token))} if token.strip().isdecimal() else set()
    return {text for text in texts | lines | encoded | numbers | {token.strip()} if len(text) > 3}


@pytest.mark.parametrize("token", SHAPES)
def test_no_spelling_of_a_secret_is_seen_or_stored(tmp_path, token):
    ada = User("ada@example.com", "tkn_ada", groups=["everybody"])
    everything = []
    options = {"database": f"sqlite:///{tmp_path / 'runbooks.db'}", "users": [ada]}
    with RunbookServer([careless], [passed_on], **options) as server:
        api = Client(server, **{"X-Airplane-API-Key": "tkn_ada"})
        session_id = api.execute("careless", {"token": token})
        run = api.post("/tasks/execute", {"slug": "passed_on", "paramValues": {"token": token}}).json["runID"]
        eventually(lambda: api.get("/runs/get", id=run).json["status"] == "Succeeded")
        prompt = api.open_prompt(session_id)
        everything.append(look(server, api, tmp_path))
        chosen, notes = (prompt["schema"]["parameters"][place] for place in (1, 2))
        values = {"chosen": chosen["constraints"]["options"][2]["value"], "notes": notes["default"]}
        assert api.post("/prompts/submit", {"id": prompt["id"], "values": values}).status == 200
        api.reaches(session_id, "Succeeded")
        everything.append(look(server, api, tmp_path))
        api.close()
    bare = token.strip()
    assert SEEN.pop() == {
        "again": token,
        "chosen": f"not {bare}",
        "notes": f"https://{bare}@host",
        "nested": {"token": bare},
    }
    assert len(traces(token)) > 5
    for seen, on_disk in everything:
        assert {text for text in traces(token) if text in seen or html.escape(text) in seen} == set()
        assert {
            text for text in traces(token) if text.encode() in on_disk or json.dumps(text)[1:-1].encode() in on_disk
        } == set()


Hushed = Annotated[str, Field(secret=True, regex="hush-[a-z]+|x", options=["hush-hush", "hush-loud", "x"])]


@runbook
def with_default(context: Context, token: Hushed = "hush-hush", short: Annotated[str, Field(secret=True)] = "x") -> int:
    """Use parameters that were left out."""
    SEEN.append((token, short))
    answer = context.prompt("And?", pin=Field(str, secret=True, default="hush-pin", regex="hush-[a-z]+"))
    SEEN.append(answer["pin"])
    return len(token)


def test_the_default_of_a_secret_never_leaves_the_process(tmp_path):
    database = f"sqlite:///{tmp_path / 'runbooks.db'}"
    with RunbookServer([with_default], database=database) as server:
        api, browser = Client(server), Browser(server.base_url, server.api_key)
        refused = api.post("/runbooks/execute", {"slug": "with_default", "paramValues": {"token": "hush-nothing"}})
        assert (refused.status, refused.error) == (400, "paramValues.token: the value is not among the options")
        session_id = api.execute("with_default")
        prompt = api.open_prompt(session_id)
        (pin,) = prompt["schema"]["parameters"]
        assert (pin["default"], pin["constraints"]) == (None, {"optional": True, "regex": "", "options": None})
        first = look(server, api, tmp_path)
        refused = api.post("/prompts/submit", {"id": prompt["id"], "values": {"pin": "HUSH"}})
        assert (refused.status, refused.error) == (400, "values.pin: the value does not match the regex")
        assert "Left empty, it is the default." in browser.get(f"/prompts/{prompt['id']}").text
        assert browser.answer(prompt["id"], pin="").status == 303
        api.reaches(session_id, "Succeeded")
        second = look(server, api, tmp_path)
        api.close()
        browser.close()
    assert SEEN.pop() == "hush-pin"
    assert set(SEEN) == {("hush-hush", "x")}
    for seen, on_disk in (first, second):
        assert "hush" not in seen
        assert b"hush" not in on_disk


def test_only_strings_are_secret():
    with pytest.raises(TypeError, match="pin: multiline and secret are for strings"):

        @runbook
        def wrong(context: Context, pin: Annotated[int, Field(secret=True)]) -> None:
            """Never called."""
