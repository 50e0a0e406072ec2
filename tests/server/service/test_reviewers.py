"""Prompts name who may answer, and the server enforces it, on the API and the pages."""

from __future__ import annotations

import pytest

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import Context, RunbookServer, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import Client

KEYS = {"ada": "tkn_ada", "bob": "tkn_bob", "eve": "tkn_eve"}
USERS = [
    User("ada@example.com", KEYS["ada"], groups=["finance", "leads"]),
    User("bob@example.com", KEYS["bob"], groups=["support"]),
    User("eve@example.com", KEYS["eve"]),
]


@runbook
def ask(context: Context, users: list[str], groups: list[str], self_approvals: bool = True) -> str:
    """Ask those who are named."""
    reviewers = Reviewers(users=tuple(users), groups=tuple(groups), allow_self_approvals=self_approvals)
    return str(context.prompt("Well?", reviewers=reviewers, sure=bool)["sure"])


@pytest.fixture(scope="module")
def server():
    with RunbookServer([ask], users=USERS) as server:
        yield server


@pytest.fixture(scope="module")
def clients(server):
    named = {name: Client(server, **{"X-Airplane-API-Key": key}) for name, key in KEYS.items()}
    named["api"] = Client(server)
    yield named
    for client in named.values():
        client.close()


@pytest.fixture(scope="module")
def browsers(server):
    named = {name: Browser(server.base_url, key) for name, key in KEYS.items()}
    named["api"] = Browser(server.base_url, server.api_key)
    yield named
    for browser in named.values():
        browser.close()


def asked(clients, by="api", users=(), groups=(), **values):
    """Start a session and return its ID and its prompt's."""
    session_id = clients[by].execute("ask", {"users": list(users), "groups": list(groups), **values})
    return session_id, clients["api"].open_prompt(session_id)["id"]


def submit(client, prompt_id):
    return client.post("/prompts/submit", {"id": prompt_id, "values": {"sure": True}})


RULES = [
    # who is named, who may
    ({}, {"ada", "bob", "eve", "api"}),
    ({"users": ["bob@example.com"]}, {"bob"}),
    ({"users": ["BOB@example.com"]}, {"bob"}),
    ({"groups": ["support"]}, {"bob"}),
    ({"groups": ["leads", "support"]}, {"ada", "bob"}),
    ({"users": ["eve@example.com"], "groups": ["finance"]}, {"ada", "eve"}),
    ({"users": ["", "API user"]}, set()),
    ({"groups": ["nobody"]}, set()),
]


@pytest.mark.parametrize(("named", "allowed"), RULES)
@pytest.mark.parametrize("operation", ["submit", "cancel"])
def test_only_those_who_are_named_may_answer_or_cancel(clients, named, allowed, operation):
    for name, client in clients.items():
        session_id, prompt_id = asked(clients, **named)
        values = {"values": {"sure": True}} if operation == "submit" else {}
        answer = client.post(f"/prompts/{operation}", {"id": prompt_id, **values})
        if name in allowed:
            assert answer.status == 200, name
            clients["api"].reaches(session_id, "Succeeded" if operation == "submit" else "Cancelled")
        else:
            assert (answer.status, answer.code) == (403, "not_a_reviewer"), name
            assert answer.headers["X-Airplane-Retryable"] == "false"
            assert clients["api"].session(session_id)["status"] == "Waiting"


@pytest.mark.parametrize("starter", ["ada", "api"])
def test_self_approval_can_be_ruled_out(clients, starter):
    session_id, prompt_id = asked(clients, by=starter, self_approvals=False)
    for operation in ("submit", "cancel"):
        answer = clients[starter].post(f"/prompts/{operation}", {"id": prompt_id, "values": {"sure": True}})
        assert (answer.status, answer.code) == (403, "self_approval")
    assert submit(clients["eve"], prompt_id).status == 200
    clients["api"].reaches(session_id, "Succeeded")


def test_a_reviewer_who_started_the_session_may_not_answer(clients):
    _, prompt_id = asked(clients, by="bob", groups=["support", "leads"], self_approvals=False)
    assert submit(clients["bob"], prompt_id).code == "self_approval"
    assert submit(clients["eve"], prompt_id).code == "not_a_reviewer"
    assert submit(clients["ada"], prompt_id).status == 200


def test_the_page_says_who_is_asked_in_place_of_the_form(clients, browsers):
    session_id, prompt_id = asked(clients, users=["bob@example.com"], groups=["leads"])
    page = browsers["eve"].get(f"/prompts/{prompt_id}")
    assert page.status == 200
    assert "This is for somebody else to answer" in page.text
    assert "bob@example.com, group leads" in page.text
    assert "field-sure" not in page.text
    assert "bob@example.com, group leads" in browsers["eve"].get(f"/sessions/{session_id}").text
    assert 'name="field-sure"' in browsers["bob"].get(f"/prompts/{prompt_id}").text


def test_a_form_that_no_page_has_offered_is_refused(clients, browsers, server):
    session_id, prompt_id = asked(clients, users=["bob@example.com"])
    token = USERS[2].sign("form", prompt_id)
    for action in ("submit", "cancel"):
        reply = browsers["eve"].post(f"/prompts/{prompt_id}", {"token": token, "action": action, "field-sure": "0"})
        assert reply.status == 403
        assert "you are not listed" in reply.text
    assert clients["api"].session(session_id)["status"] == "Waiting"


def test_the_page_refuses_self_approval(clients, browsers):
    _, prompt_id = asked(clients, by="ada", self_approvals=False)
    assert "because you started its session" in browsers["ada"].get(f"/prompts/{prompt_id}").text
    reply = browsers["ada"].post(
        f"/prompts/{prompt_id}", {"token": USERS[0].sign("form", prompt_id), "action": "submit", "field-sure": "0"}
    )
    assert (reply.status, reply.title) == (403, "This is not allowed")
    assert browsers["eve"].answer(prompt_id, sure="0").status == 303
