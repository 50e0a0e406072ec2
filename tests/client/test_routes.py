"""Routes that a server may lack: extensions beside the API, and all of it if the base URL lacks the version."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airplane_runbooks import (
    APIError,
    ConfigurationError,
    Conflict,
    DecodeError,
    NotFound,
    NotSupported,
    ServerError,
    WaitTimeout,
)
from airplane_runbooks.http import Headers, Response
from airplane_runbooks.models import ParameterType, Runbook
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

Make = Callable[..., Either]
Act = Callable[[Any], Any]

OPTIONAL: dict[str, Act] = {
    "sessions.cancel": lambda airplane: airplane.sessions.cancel("ses1"),
    "sessions.delete": lambda airplane: airplane.sessions.delete("ses1"),
    "sessions.release": lambda airplane: airplane.sessions.release("ses1"),
    "runbooks.list": lambda airplane: airplane.runbooks.list(),
    "runs.logs": lambda airplane: airplane.runs.logs("run1"),
    "tasks.list": lambda airplane: airplane.tasks.list(),
}
PAGE = Response(status=200, headers=Headers({"content-type": "text/html"}), body=b"<h1>Welcome</h1>")


def page(status: int) -> Response:
    return Response(status=status, headers=PAGE.headers, body=PAGE.body)


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    def build(*answers: Response, base_url: str = "https://h/v0") -> Either:
        return Either(request.param, FakeTransport(answers), base_url=base_url)

    return build


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize(
    "reply", [json_response({"error": "no", "code": "route_not_found"}, status=404), page(404), page(405), page(501)]
)
def test_a_server_without_a_route_is_told_apart(make: Make, name: str, reply: Response) -> None:
    with pytest.raises(NotSupported, match=f"this server does not have {name}") as caught:
        make(reply)(OPTIONAL[name])
    assert (caught.value.status, caught.value.operation) == (reply.status, name)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "session_not_found", NotFound),
        (404, "environment_not_found", NotFound),
        (409, "session_finished", Conflict),
        (500, "", ServerError),
    ],
)
def test_an_error_of_the_operation_itself_keeps_its_class(
    make: Make, name: str, status: int, code: str, error: type[APIError]
) -> None:
    headers = {"x-airplane-retryable": "false"}
    with pytest.raises(error) as caught:
        make(json_response({"error": "no", "code": code}, status=status, headers=headers))(OPTIONAL[name])
    assert type(caught.value) is error
    assert caught.value.advice is None


@pytest.mark.parametrize("status", [404, 405])
def test_a_documented_operation_is_never_called_unsupported(make: Make, status: int) -> None:
    with pytest.raises(APIError) as caught:
        make(page(status))(lambda airplane: airplane.sessions.get("ses1"))
    assert not isinstance(caught.value, NotSupported)
    assert caught.value.advice is None


@pytest.mark.parametrize(
    ("base_url", "target"),
    [
        ("https://h/v0", "/ext/v0/runbooks/list"),
        ("https://h/v0/", "/ext/v0/runbooks/list"),
        ("https://h/tools/airplane/v0", "/tools/airplane/ext/v0/runbooks/list"),
        ("https://h/v0/v0", "/v0/ext/v0/runbooks/list"),
    ],
)
def test_extensions_are_found_beside_the_version(make: Make, base_url: str, target: str) -> None:
    either = make(json_response({"runbooks": []}), base_url=base_url)
    assert either(OPTIONAL["runbooks.list"]) == ()
    assert either.transport.requests[0].target == target


@pytest.mark.parametrize("base_url", ["https://h", "https://h/api", "https://h/v1", "https://h/xv0"])
@pytest.mark.parametrize("name", ["sessions.cancel", "runbooks.list"])
def test_extensions_are_not_guessed_beside_another_path(make: Make, base_url: str, name: str) -> None:
    either = make(base_url=base_url)
    with pytest.raises(ConfigurationError, match=f"{name} is an extension .* does not end in /v0: {base_url}$"):
        either(OPTIONAL[name])
    assert either.transport.requests == []


ADVICE = r"; the base URL https://h(/api)? has no version path; try https://h(/api)?/v0$"


@pytest.mark.parametrize("base_url", ["https://h", "https://h/api/"])
@pytest.mark.parametrize("reply", [page(404), json_response({"error": "?"}, status=404), page(302), page(403)])
def test_a_base_url_without_a_version_is_part_of_the_error(make: Make, base_url: str, reply: Response) -> None:
    for act in (OPTIONAL["tasks.list"], lambda airplane: airplane.runbooks.execute("refund")):
        with pytest.raises(APIError, match=ADVICE) as caught:
            make(reply, base_url=base_url)(act)
        assert not isinstance(caught.value, NotSupported)
        assert caught.value.advice is not None
        assert caught.value.advice not in caught.value.message


def test_a_page_instead_of_a_reply_comes_with_the_advice(make: Make) -> None:
    with pytest.raises(DecodeError, match=ADVICE):
        make(PAGE, base_url="https://h")(lambda airplane: airplane.sessions.get("ses1"))
    with pytest.raises(DecodeError) as caught:
        make(PAGE)(lambda airplane: airplane.sessions.get("ses1"))
    assert "version" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        json_response({"error": "no such session", "code": "session_not_found"}, status=404),
        json_response({"error": "no"}, status=403),
    ],
)
def test_a_base_url_that_works_gets_no_advice(make: Make, reply: Response) -> None:
    with pytest.raises(APIError) as caught:
        make(reply, base_url="https://h")(lambda airplane: airplane.sessions.get("ses1"))
    assert caught.value.advice is None


def test_a_wait_over_such_a_base_url_fails_with_the_advice(make: Make) -> None:
    with pytest.raises(NotFound, match=ADVICE) as caught:
        make(page(404), base_url="https://h")(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=9))
    assert not isinstance(caught.value, WaitTimeout)


def test_runbooks_are_listed_with_their_schemas(make: Make) -> None:
    content = {"id": "rbk1", "slug": "refund", "name": "Refund", "description": "Refund a customer.", "later": 1}
    schema = {"parameters": [{"slug": "customer", "type": "string"}]}
    (found,) = make(json_response({"runbooks": [{**content, "parameters": schema}]}))(OPTIONAL["runbooks.list"])
    assert isinstance(found, Runbook)
    assert (found.id, found.slug, found.name, found.description) == ("rbk1", "refund", "Refund", "Refund a customer.")
    assert found.parameters.parameters[0].type is ParameterType.STRING
    assert found.parameters.validate({"customer": "c1"}) == {"customer": "c1"}


@pytest.mark.parametrize("key", ["taskID", "id"])
def test_tasks_are_listed_by_either_name_of_their_id(make: Make, key: str) -> None:
    content = {key: "tsk1", "slug": "clean", "timeout": 60, "isArchived": True, "createdAt": "2024-01-01T00:00:00Z"}
    (found,) = make(json_response({"tasks": [content]}))(OPTIONAL["tasks.list"])
    assert (found.id, found.slug, found.timeout, found.is_archived) == ("tsk1", "clean", 60, True)
    assert (found.created_at, found.updated_at) == (datetime(2024, 1, 1, tzinfo=UTC), None)


def test_tasks_are_listed_for_the_environment_of_the_client() -> None:
    either = Either("sync", FakeTransport([json_response({"tasks": []})]), base_url="https://h/v0", env_slug="prod")
    either(OPTIONAL["tasks.list"])
    assert either.transport.requests[0].target == "/v0/tasks/list?envSlug=prod"
