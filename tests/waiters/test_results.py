"""Results of sessions, with either client: read from the session, or from its root run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from airplane_runbooks import DecodeError, Request, Response, ResultUnavailable, SessionCancelled, SessionFailed
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

Make = Callable[..., Either]

BUSY = json_response({"error": "busy"}, status=503)


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    def build(answers: Any, **options: Any) -> Either:
        return Either(request.param, FakeTransport(answers), **options)

    return build


def session(status: str = "Succeeded", **told: Any) -> Response:
    return json_response({"id": "ses1", "status": status, **told})


def result(airplane: Any) -> Any:
    return airplane.sessions.result("ses1", wait_timeout=60)


def targets(either: Either) -> list[str]:
    return [request.target.removeprefix("/v0") for request in either.transport.requests]


@pytest.mark.parametrize("output", [None, 0, "", {"cents": [12900]}, {"error": "none"}])
def test_a_result_is_the_output_of_the_session(make: Make, output: Any) -> None:
    either = make([session("Active"), session(output=output, runID="run1")])
    assert either(result) == output
    assert targets(either) == ["/sessions/get?id=ses1"] * 2


@pytest.mark.parametrize("output", [None, {"size": "x" * 100_000}])
def test_a_result_left_out_of_the_session_is_that_of_its_run(make: Make, output: Any) -> None:
    either = make([session(runID="run1"), json_response({"output": output, "outputs": output})])
    assert either(result) == output
    assert targets(either) == ["/sessions/get?id=ses1", "/runs/getOutputs?id=run1"]


def test_a_result_is_read_after_the_time_of_the_wait(make: Make) -> None:
    def answer(request: Request) -> Response:
        if "sessions" in request.target:
            either.clock.advance(59.999)
            return session(runID="run1")
        answers.append(BUSY)
        return json_response({"output": 1}) if len(answers) > 3 else BUSY

    answers: list[Response] = []
    either = make(answer)
    assert either(result) == 1
    assert len(answers) == 4


@pytest.mark.parametrize("answers", [[session()], [session(runID="run1"), json_response({"outputs": 1})]])
def test_a_server_that_does_not_tell_results_is_named(make: Make, answers: list[Response]) -> None:
    either = make(answers)
    with pytest.raises(ResultUnavailable, match="the server does not tell the results of sessions") as caught:
        either(result)
    assert caught.value.session.id == caught.value.session_id == "ses1"
    assert caught.value.operation == "sessions.result"


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        ("Failed", SessionFailed, "session ses1 failed in step 'find': KeyError: 'id'"),
        ("Cancelled", SessionCancelled, "session ses1 was cancelled: KeyError: 'id'"),
    ],
)
def test_a_session_without_a_result_raises_the_reason(make: Make, status: str, kind: type, text: str) -> None:
    either = make([session(status, output=None, error={"kind": "KeyError", "message": "'id'", "step": "find"})])
    with pytest.raises(kind) as caught:
        either(result)
    assert str(caught.value) == text


@pytest.mark.parametrize("answers", [(b'"output":1e999',), (b'"runID":"run1"', b'{"output":1e999}')])
def test_a_result_that_python_cannot_hold_is_unreadable(make: Make, answers: tuple[bytes, ...]) -> None:
    first, *others = (Response(status=200, headers=session().headers, body=body) for body in answers)
    first = msgspec.structs.replace(first, body=b'{"id":"ses1","status":"Succeeded",%s}' % first.body)
    either = make([first, *others])
    with pytest.raises(DecodeError, match="the session has succeeded, but its result cannot be read") as caught:
        either(result)
    assert caught.value.response.body == b"1e999"


def test_a_runbook_is_run_for_its_result(make: Make) -> None:
    either = make([json_response({"sessionID": "ses1"}), session("Active"), session(output="refunded")])
    assert either(lambda airplane: airplane.runbooks.run("refund", {"cents": 1}, wait_timeout=60)) == "refunded"
    first = either.transport.requests[0]
    assert (first.method, first.target) == ("POST", "/v0/runbooks/execute")
    assert msgspec.json.decode(first.body or b"") == {"slug": "refund", "paramValues": {"cents": 1}}


def test_a_failed_run_of_a_runbook_leads_back_to_its_session(make: Make) -> None:
    either = make([json_response({"sessionID": "ses1"}), session("Failed")])
    with pytest.raises(SessionFailed) as caught:
        either(lambda airplane: airplane.runbooks.run(id="rbk1", env_slug="dev", wait_timeout=60))
    first = either.transport.requests[0]
    assert caught.value.operation == "runbooks.run"
    assert caught.value.session_id == "ses1"
    assert caught.value.idempotency_key == first.headers["idempotency-key"]
    assert first.headers["x-airplane-env-slug"] == "dev"
