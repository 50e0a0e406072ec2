from __future__ import annotations

import pytest
import urllib3

from airplane_runbooks.server import Context, runbook, task
from airplane_runbooks.server.web.api.command_line import COMMAND_LINE
from airplane_runbooks.server.web.api.extensions import EXTENSIONS
from airplane_runbooks.version import __version__
from tests.support.servers import Client, eventually, served


@runbook
def asks(context: Context, topic: str = "money") -> None:
    """Ask for a decision."""
    context.prompt("Go on?", go=bool)


@runbook(id="rbk20220120z15kl79", confirm="Quickly?")
def quick(context: Context) -> None:
    """Do nothing."""


@task
def add(left: int, right: int = 1) -> int:
    """Add two numbers."""
    return left + right


class Extensions(Client):
    """Speaks to the extensions, with the API beside them as `api`."""

    def __init__(self, api):
        self.__dict__.update(api.__dict__)
        self.url = api.url.removesuffix("/v0") + "/ext/v0"
        self.api = api


@pytest.fixture(scope="module")
def ext():
    with served(asks, quick, tasks=[add]) as client:
        yield Extensions(client)


@pytest.mark.parametrize("key", ["id", "sessionID"])
def test_a_waiting_session_can_be_cancelled(ext, key):
    session_id = ext.api.execute("asks")
    prompt = ext.api.open_prompt(session_id)
    answer = ext.post("/sessions/cancel", {key: session_id})
    assert (answer.status, answer.json) == (200, {})
    assert ext.api.session(session_id)["status"] == "Cancelled"
    assert {run["status"] for run in ext.api.runs(session_id)} == {"Cancelled"}
    assert ext.api.get("/prompts/get", id=prompt["id"]).json["prompt"]["cancelledAt"]


def test_a_session_that_has_ended_cannot_be_cancelled(ext):
    for slug, status in (("quick", "Succeeded"), ("asks", "Cancelled")):
        session_id = ext.api.execute(slug)
        if slug == "asks":
            eventually(lambda session_id=session_id: ext.post("/sessions/cancel", {"id": session_id}).status == 200)
        ext.api.reaches(session_id, status)
        answer = ext.post("/sessions/cancel", {"id": session_id})
        assert (answer.status, answer.code) == (409, "session_finished")
        assert answer.error.endswith(status)
        assert answer.headers["X-Airplane-Retryable"] == "false"


def test_cancelling_needs_the_id_of_a_known_session(ext):
    answer = ext.post("/sessions/cancel", {"id": "ses1"})
    assert (answer.status, answer.code) == (404, "session_not_found")
    for body in ({}, {"id": "", "sessionID": None}):
        answer = ext.post("/sessions/cancel", body)
        assert (answer.status, answer.code) == (400, "missing_field")


def test_cancelling_twice_with_one_key_repeats_the_reply(ext):
    session_id = ext.api.execute("asks")
    answers = [ext.post("/sessions/cancel", {"id": session_id}, **{"Idempotency-Key": "c"}) for _ in range(2)]
    assert [(answer.status, answer.headers["Idempotency-Key"]) for answer in answers] == [(200, "c")] * 2


def test_runbooks_and_tasks_that_are_served_are_listed(ext):
    runbooks = ext.get("/runbooks/list").json["runbooks"]
    assert [one["slug"] for one in runbooks] == ["asks", "quick"]
    schema = runbooks[0].pop("parameters")
    assert runbooks[0].pop("resultSchema") == {"type": "null"}
    assert runbooks[0] == {"id": asks.id, "slug": "asks", "name": "Asks", "description": "Ask for a decision."}
    assert schema == {"parameters": ext.api.session(ext.api.execute("asks"))["params"]}
    assert (runbooks[1]["id"], runbooks[1]["confirm"]) == ("rbk20220120z15kl79", "Quickly?")
    (one,) = ext.get("/tasks/list").json["tasks"]
    assert (one["id"], one["slug"], one["description"]) == (add.id, "add", "Add two numbers.")
    assert [parameter["slug"] for parameter in one["parameters"]["parameters"]] == ["left", "right"]


@pytest.mark.parametrize(("method", "path"), EXTENSIONS)
def test_every_extension_needs_the_key_and_its_method(ext, method, path):
    reply = urllib3.request(method, ext.url + path)
    assert (reply.status, reply.json()["code"]) == (401, "unauthorized")
    answer = ext.send("GET" if method == "POST" else "POST", path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")


def test_extensions_are_not_below_the_prefix_of_the_api(ext):
    for _, path in EXTENSIONS.keys() - COMMAND_LINE.keys():
        assert ext.api.get(path).status == 404


def test_the_server_tells_its_version(ext):
    assert ext.get("/version").json == {"version": __version__}
