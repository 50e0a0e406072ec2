"""The page of messages that could not be delivered."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest

from airplane_runbooks.server import Context, User, Webhook, runbook
from tests.support.browsing import Browser
from tests.support.receivers import SECRET, HookReceiver
from tests.support.servers import eventually, started

ADA = User("ada@example.com", "tkn_ada_of_the_deliveries")


@runbook
def idle(context: Context) -> None:
    """Do nothing."""


@pytest.fixture
def receiver():
    with HookReceiver([(410, {})]) as receiver:
        yield receiver


@pytest.fixture
def server(receiver):
    """Run a server that has given a message up."""
    with started(idle, users=[ADA], notify=[Webhook(receiver.url, secret=SECRET, name="ops")]) as (server, api):
        api.finishes("idle")
        eventually(lambda: server._lifecycle.services.deliverer.deliveries.given_up(1))
        yield server


def visit(server, key):
    return closing(Browser(server.base_url, key))


def test_an_operator_sends_a_message_again(server, receiver):
    with visit(server, server.api_key) as operator:
        assert 'href="/deliveries"' in operator.get("/").text
        page = operator.get("/deliveries")
        assert "session.succeeded" in page.text
        assert "the receiver answered 410" in page.text
        assert "a-secret" not in page.text

        fields = {"token": list(page.tokens())[1], "delivery": receiver.messages[0].id}
        assert operator.post("/deliveries", fields).location == "/deliveries"
        first, second = receiver.wait_for(2)
        assert first.id == second.id
        assert operator.post("/deliveries", fields).status == 409
        eventually(lambda: "No message waits" in operator.get("/deliveries").text)
        assert 'href="/deliveries"' not in operator.get("/").text


def test_other_users_see_messages_and_cannot_send_them(server, receiver):
    with visit(server, "tkn_ada_of_the_deliveries") as ada, visit(server, server.api_key) as operator:
        page = ada.get("/deliveries")
        assert "the receiver answered 410" in page.text
        assert "Send again" not in page.text
        delivery = receiver.messages[0].id
        foreign = list(operator.get("/deliveries").tokens())[1]
        for token in ("", foreign):
            assert ada.post("/deliveries", {"token": token, "delivery": delivery}).status == 403
    assert len(receiver.messages) == 1


def test_a_message_that_waits_shows_its_next_attempt():
    answers = [(503, {"Retry-After": "3600"})]
    with HookReceiver(answers) as busy, started(idle, notify=[Webhook(busy.url, secret=SECRET)]) as (server, api):
        api.finishes("idle")
        deliveries = server._lifecycle.services.deliverer.deliveries
        eventually(lambda: any(one.problem for one in deliveries.waiting(1)))
        (waiting,) = deliveries.waiting(1)
        with visit(server, server.api_key) as operator:
            page = operator.get("/deliveries").text
    assert waiting.due_at > waiting.created_at + timedelta(minutes=59)
    at = f'<time datetime="{waiting.due_at.isoformat()}">{waiting.due_at:%Y-%m-%d %H:%M:%S} UTC</time>'
    assert f"the last one: {waiting.problem}, next attempt at {at}" in page


def test_a_page_without_messages_says_so():
    with started(idle) as (server, _), visit(server, server.api_key) as operator:
        page = operator.get("/deliveries")
        assert "All messages have been delivered" in page.text
        assert "No message waits" in page.text
        assert 'href="/deliveries"' not in operator.get("/").text
