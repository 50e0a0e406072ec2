"""Requests: made from public names, and tied to a call only by the client."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from airplane_runbooks import Airplane, Headers, Request, Response
from airplane_runbooks.http import CallState
from airplane_runbooks.testing import FakeTransport, json_response

STARTED = json_response({"sessionID": "ses1"})


def built(**changes: object) -> Request:
    parts = {"method": "GET", "origin": "https://h", "target": "/v0/runs/get?id=r", "headers": Headers(), "body": None}
    return Request(**{**parts, **changes})


def execute(**options: object) -> FakeTransport:
    transport = FakeTransport([STARTED])
    with Airplane("tkn_test", transport=transport, **options) as airplane:
        airplane.runbooks.execute("x")
    return transport


def test_a_request_is_built_from_public_names():
    request = built()

    assert (request.url, request.path, request.attempt) == ("https://h/v0/runs/get?id=r", "/v0/runs/get", 1)
    assert "call" not in inspect.signature(Request).parameters
    assert FakeTransport([STARTED]).send(request, 1.0) is STARTED


def test_a_request_without_a_client_belongs_to_no_call():
    request = built()
    request.add_credentials(Headers({"authorization": "Basic c2VjcmV0"}))

    assert not hasattr(request, "call")
    with pytest.raises(AttributeError, match="does not belong to a call"):
        _ = request.call


def test_a_request_of_a_client_knows_its_operation_and_call():
    (request,) = execute().requests

    assert request.operation == "runbooks.execute"
    assert isinstance(request.call, CallState)


def test_added_credentials_are_removed_from_error_replies():
    class Proxied(FakeTransport):
        def send(self, request: Request, timeout: float | None, /) -> Response:
            request.add_credentials(Headers({"proxy-authorization": "Basic dXNlcjpzZWNyZXQ="}))
            return super().send(request, timeout)

    echo = json_response({"error": "who is dXNlcjpzZWNyZXQ= ?"}, status=400)
    with (
        Airplane("tkn_test", transport=Proxied([echo])) as airplane,
        pytest.raises(Exception, match="who is") as caught,
    ):
        airplane.runbooks.execute("x")
    assert "dXNlcjpzZWNyZXQ" not in str(caught.value)


def test_a_middleware_may_replace_parts_of_its_request():
    async def to_another_path(request, call_next, /):
        return await call_next(msgspec.structs.replace(request, target="/v1/elsewhere"))

    (request,) = execute(middleware=[to_another_path]).requests

    assert request.target == "/v1/elsewhere"


def test_a_middleware_cannot_pass_on_a_request_of_its_own():
    async def of_its_own(request, call_next, /):
        return await call_next(built(method="POST"))

    with pytest.raises(AttributeError, match="middleware must pass on the one given"):
        execute(middleware=[of_its_own])
