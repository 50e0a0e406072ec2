"""Users have keys of their own, and act under their names."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback

import msgspec
import pytest
import urllib3

from airplane_runbooks.server import Context, RunbookServer, User, create_app, runbook
from airplane_runbooks.server.service.identity import Users
from airplane_runbooks.server.storage.ids import API_USER, stable_id
from tests.support.servers import Client

KEY = "tkn_ada_xqzw"
ADA = User("Ada@Example.com", KEY, groups=["support"])
BOB = User("bob@example.com", "tkn_bob_77aa")


@runbook
def ask(context: Context) -> str:
    """Ask one thing."""
    return str(context.prompt("Well?", sure=bool)["sure"])


@pytest.fixture(scope="module")
def server():
    with RunbookServer([ask], users=[ADA, BOB]) as server:
        yield server


def client(server, **headers):
    client = Client(server, **headers)
    yield client
    client.close()


@pytest.fixture(scope="module")
def api(server):
    yield from client(server)


@pytest.fixture(scope="module")
def ada(server):
    yield from client(server, **{"X-Airplane-API-Key": KEY})


@pytest.fixture(scope="module")
def bob(server):
    yield from client(server, **{"X-Airplane-API-Key": "", "X-Airplane-Token": "tkn_bob_77aa"})


def test_every_key_opens_the_api_and_no_other_does(api, ada, bob):
    assert [client.get("/sessions/list").status for client in (api, ada, bob)] == [200, 200, 200]
    for key in ("", "tkn_ada_3f9", KEY + " x", KEY.upper(), "tkn_carol"):
        reply = urllib3.request("GET", f"{api.url}/sessions/list", headers={"X-Airplane-API-Key": key}, retries=False)
        assert reply.status == 401


def test_what_is_started_and_answered_goes_by_the_user(api, ada, bob):
    session_id = ada.execute("ask")
    prompt = ada.open_prompt(session_id)
    assert bob.answer(session_id, sure=True).status == 200
    api.reaches(session_id, "Succeeded")
    session, run = api.session(session_id), api.runs(session_id)[0]
    ada_id, bob_id = stable_id("usr", "ada@example.com"), stable_id("usr", "bob@example.com")
    assert session["createdBy"] == session["updatedBy"] == run["createdBy"] == run["creatorID"] == ada_id
    assert api.get("/prompts/get", id=prompt["id"]).json["prompt"]["submittedBy"] == bob_id
    assert api.session(api.execute("ask"))["createdBy"] == API_USER


def test_what_is_cancelled_goes_by_the_user(api, bob):
    session_id = api.execute("ask")
    prompt = api.open_prompt(session_id)
    assert bob.post("/prompts/cancel", {"id": prompt["id"]}).status == 200
    assert api.get("/prompts/get", id=prompt["id"]).json["prompt"]["cancelledBy"] == BOB.id
    session_id = api.execute("ask")
    api.open_prompt(session_id)
    run = api.runs(session_id)[0]
    assert bob.post("/runs/cancel", {"id": run["id"]}).status == 200
    assert api.get("/runs/get", id=run["id"]).json["cancelledBy"] == BOB.id


def test_idempotency_keys_belong_to_one_user(api, ada):
    first, again, other = (client.execute("ask", **{"Idempotency-Key": "same"}) for client in (api, api, ada))
    assert first == again != other


def test_users_are_found_by_key_and_named_by_address():
    users = Users("tkn_own", [ADA, BOB])
    assert users.find(KEY) is ADA
    assert users.find("tkn_own").id == API_USER
    assert users.find("tkn_ow") is users.find("") is users.find("ü") is users.find("\ud800") is None
    assert [users.name(one) for one in (ADA.id, BOB.id, API_USER, "usr_gone")] == [
        "ada@example.com",
        "bob@example.com",
        "API user",
        "usr_gone",
    ]
    assert ADA.id == User("ada@EXAMPLE.com", "tkn_other").id


@pytest.mark.parametrize(
    "email", ["", "ada", "@", "ada@", "a da@example.com", "ada@example.com,bob@example.com", "a@b\n"]
)
def test_what_is_no_address_is_refused(email):
    with pytest.raises(ValueError, match="is not an e-mail address"):
        User(email, KEY)


@pytest.mark.parametrize("group", ["", "A team", "team!", "-x"])
def test_what_is_no_group_is_refused(group):
    with pytest.raises(ValueError, match="is not a slug of a group"):
        User("ada@example.com", KEY, [group])


@pytest.mark.parametrize("build", [RunbookServer, create_app], ids=lambda build: build.__name__)
@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([ADA, User("ADA@example.com", "tkn_other")], "the same e-mail address"),
        ([ADA, User("bob@example.com", KEY)], "the same API key"),
        ([User("bob@example.com", "tkn_own")], "the same API key"),
    ],
)
def test_users_who_share_what_should_tell_them_apart_are_refused(build, users, message):
    with pytest.raises(ValueError, match=message) as refused:
        build([ask], api_key="tkn_own", users=users)
    assert "tkn_" not in str(refused.value)


@pytest.mark.parametrize("key", ["", " tkn_xqzw", "tkn_xqzw\n", "tkn_üxqzw"])
def test_bad_keys_are_refused_without_showing_them(key):
    with pytest.raises(ValueError, match="an API key is made of") as refused:
        User("ada@example.com", key)
    assert "xqzw" not in "".join(traceback.format_exception_only(refused.value))


def test_the_key_is_in_nothing_that_is_printed_logged_or_stored(caplog):
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        pickle.dumps(ADA)
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        copy.copy(ADA)
    with pytest.raises(TypeError) as refused:
        msgspec.json.encode(ADA)
    logging.getLogger("test").warning("%r %s %r", ADA, ADA, Users("tkn_xqzw", [ADA]))
    assert "xqzw" not in f"{ADA!r} {ADA} {vars(type(ADA))} {refused.value} {caplog.text}"
