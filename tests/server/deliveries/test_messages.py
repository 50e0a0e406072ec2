"""Messages of a real server, as a real receiver gets them."""

from __future__ import annotations

import json
import threading
from typing import Annotated

import pytest

from airplane_runbooks import webhooks
from airplane_runbooks.models import SessionStatus
from airplane_runbooks.server import Context, Field, Slack, Webhook, runbook, task
from airplane_runbooks.server.storage.database import Database
from tests.support.receivers import SECRET, HookReceiver
from tests.support.servers import served, started

PUBLIC = {"public_url": "https://runbooks.example.com/tools", "api_key": "tkn_long_enough_for_others"}


@pytest.fixture
def receiver():
    with HookReceiver() as receiver:
        yield receiver


@runbook
def refund(context: Context, customer: str) -> bool:
    """Ask for a refund."""
    return context.prompt(f"Refund <{customer}> & co?", approve=bool, confirm_text="Refund")["approve"]


@runbook
def sign_in(context: Context, password: Annotated[str, Field(secret=True)]) -> None:
    """Fail with a secret."""
    context.step(refuse, password)


@runbook
def idle(context: Context) -> None:
    """Do nothing."""


def refuse(password: str) -> None:
    raise PermissionError(f"{password} is wrong")


@task
def add(a: int, b: int) -> int:
    return a + b


def events(messages):
    return [webhooks.verify(message.body, message.headers, SECRET, tolerance=3600) for message in messages]


def webhook(receiver, **options):
    return Webhook(receiver.url, secret=SECRET, **options)


def texts(messages):
    return [json.loads(message.body)["text"] for message in messages]


def test_a_prompt_and_the_end_of_its_session_are_told(receiver):
    with served(refund, notify=[webhook(receiver)], **PUBLIC) as api:
        session_id = api.execute("refund", {"customer": "Ada"})
        prompt = api.open_prompt(session_id)
        asked = events(receiver.wait_for(1))[0]
        api.answer(session_id, approve=True)
        ended = events(receiver.wait_for(2))[1]

    assert (asked.type, ended.type) == ("prompt.opened", "session.succeeded")
    assert asked.id != ended.id
    assert asked.data.prompt.id == prompt["id"]
    assert asked.data.prompt.description == "Refund <Ada> & co?"
    assert asked.data.prompt.confirm_text == "Refund"
    assert asked.data.prompt.url == f"https://runbooks.example.com/tools/prompts/{prompt['id']}"
    assert asked.data.session.id == ended.data.session.id == session_id
    assert ended.data.session.url == f"https://runbooks.example.com/tools/sessions/{session_id}"
    assert (asked.data.session.status, ended.data.session.status) == (SessionStatus.ACTIVE, SessionStatus.SUCCEEDED)
    assert (asked.data.runbook.slug, asked.data.runbook.name) == ("refund", "Refund")
    assert (ended.data.prompt, ended.data.error) == (None, None)
    assert receiver.messages[0].path == receiver.url.removeprefix(receiver.origin)
    assert receiver.messages[0].headers["content-type"] == "application/json"


def test_the_reason_of_a_failure_is_told_without_secrets(receiver, tmp_path):
    from cryptography.fernet import Fernet

    key = Fernet.generate_key().decode()
    with served(sign_in, notify=[webhook(receiver), Slack(receiver.url)], encryption_key=key) as api:
        api.finishes("sign_in", {"password": "correct horse"}, status="Failed")
        messages = receiver.wait_for(2)

    (signed,) = [message for message in messages if "webhook-id" in message.headers]
    (event,) = events([signed])
    assert event.type == "session.failed"
    assert event.data.session.url is None
    assert (event.data.error.kind, event.data.error.step) == ("PermissionError", "refuse")
    assert event.data.error.message.endswith("is wrong")
    assert not any(b"correct horse" in message.body for message in messages)


def test_a_cancelled_session_is_told_with_its_user(receiver):
    with served(refund, notify=[webhook(receiver, events=["session.cancelled"])]) as api:
        session_id = api.execute("refund", {"customer": "Ada"})
        api.open_prompt(session_id)
        api.post("/runs/cancel", {"id": api.runs(session_id)[0]["id"]})
        (event,) = events(receiver.wait_for(1))

    assert event.type == "session.cancelled"
    assert event.data.session.status is SessionStatus.CANCELLED
    assert event.data.session.cancelled_by is not None


def test_slack_gets_escaped_words_and_a_link(receiver):
    with served(refund, notify=[Slack(receiver.url)], **PUBLIC) as api:
        session_id = api.execute("refund", {"customer": "!channel"})
        prompt = api.open_prompt(session_id)
        (text,) = texts(receiver.wait_for(1))

    link = f"https://runbooks.example.com/tools/prompts/{prompt['id']}"
    assert text == f"*Refund asks* (prod)\nRefund &lt;!channel&gt; &amp; co?\n<{link}|Session {session_id}>"


def test_a_runbook_has_targets_of_its_own_besides_the_servers(receiver):
    @runbook(notify=[Slack(f"{receiver.origin}/own", name="own")])
    def alone(context: Context) -> None:
        """Do nothing."""

    @runbook
    def other(context: Context) -> None:
        """Do nothing, too."""

    with served(alone, other, notify=[Slack(f"{receiver.origin}/all")]) as api:
        api.finishes("alone")
        receiver.wait_for(2)
        api.finishes("other")
        messages = receiver.wait_for(3)

    assert sorted(message.path for message in messages[:2]) == ["/all", "/own"]
    assert messages[2].path == "/all"


def test_tasks_are_not_told(receiver):
    with served(refund, tasks=[add], notify=[webhook(receiver)]) as api:
        task_id = api.post("/tasks/execute", {"slug": "add", "paramValues": {"a": 1, "b": 2}}).json["runID"]
        while api.get("/runs/get", id=task_id).json["status"] != "Succeeded":
            pass
        api.execute("refund", {"customer": "Ada"})
        (event,) = events(receiver.wait_for(1))

    assert event.type == "prompt.opened"


@pytest.mark.parametrize("database", ["sqlite://", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_messages_cost_no_commit_of_their_own(receiver, database, request, monkeypatch):
    """The threads that deliver are not those that start and execute sessions."""
    transact, commits = Database.transact, []

    def counted(self, work):
        if threading.current_thread().name.startswith(("runbook-api", "runbook-execution")):
            commits.append(work)
        return transact(self, work)

    monkeypatch.setattr(Database, "transact", counted)

    def count(**options):
        url = database if database != "postgres" else request.getfixturevalue("postgres").fresh()
        with served(idle, database=url, **options) as api:
            api.finishes("idle")
            commits.clear()
            api.finishes("idle")
            return len(commits)

    assert count(notify=[webhook(receiver)]) == count() == 2
    receiver.wait_for(2)


def test_nothing_runs_where_nothing_is_to_be_told():
    with started(refund) as (server, api):
        api.open_prompt(api.execute("refund", {"customer": "Ada"}))
        deliverer = server._lifecycle.services.deliverer

        assert deliverer._thread is None
        assert deliverer.deliveries.waiting(10) == []
