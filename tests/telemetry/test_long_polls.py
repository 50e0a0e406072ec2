"""Spans and metrics of waits by long polls. The numbers are those of the promises in docs/reference/telemetry.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

from airplane_runbooks import NO_RETRY, CallOptions, ConnectionLost, Response
from airplane_runbooks.http import Headers
from airplane_runbooks.testing import json_response
from tests.support.observed import ATTEMPTS, CALLS, UNAVAILABLE, Make, Observed, attributes

APPLIED = {"Preference-Applied": "wait=20", "ETag": '"1"'}
UNCHANGED = Response(status=304, headers=Headers(APPLIED), body=b"")


def session(status: str, **headers: str) -> Response:
    return json_response({"id": "ses1", "status": status}, headers=headers)


def wait(**options: Any) -> Callable[[Any], Any]:
    return lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, **options)


@pytest.fixture
def seen(make: Make) -> Observed:
    """A wait on a server that applies `Prefer: wait`."""
    observed = make([session("Active", **APPLIED), UNCHANGED, session("Succeeded", **APPLIED)])
    observed(wait())
    return observed


def test_an_unchanged_object_is_a_success(seen: Observed) -> None:
    assert [attributes(span)["http.response.status_code"] for span in seen.attempts] == [200, 304, 200]
    assert {span.status.status_code for span in seen.spans} == {StatusCode.UNSET}
    assert not any("error.type" in attributes(span) for span in seen.spans)
    assert attributes(seen.call)["airplane.operation.attempts"] == 3


def test_the_spans_of_long_polls_tell_the_wait(seen: Observed) -> None:
    assert [attributes(span)["airplane.wait"] for span in seen.attempts] == [20, 20, 20]
    assert "airplane.wait" not in attributes(seen.call)


def test_a_sampler_sees_the_wait(make: Make) -> None:
    asked: list[Any] = []

    class Noting(Sampler):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, *rest: Any, **more: Any) -> Any:
            asked.append((more.get("attributes") or rest[1]).get("airplane.wait"))
            return SamplingResult(ALWAYS_ON.should_sample(parent_context, trace_id, name).decision)

        def get_description(self) -> str:
            return "noting"

    make([session("Succeeded", **APPLIED)], sampler=Noting())(wait())
    assert asked == [None, 20]


def test_ordinary_polls_have_no_wait(make: Make) -> None:
    seen = make([session("Active"), session("Succeeded")])
    seen(wait(options=CallOptions(attempt_timeout=5)))
    assert not any("airplane.wait" in attributes(span) for span in seen.attempts)
    assert seen.counts(ATTEMPTS, "http.response.status_code") == {200: 2}


def test_long_polls_are_left_out_of_the_durations_of_attempts(seen: Observed) -> None:
    assert seen.points(ATTEMPTS) == []
    assert seen.counts(CALLS, "airplane.operation.name") == {"sessions.wait": 1}


def test_polls_are_counted_if_the_server_ignores_the_wait(make: Make) -> None:
    seen = make([session("Active"), session("Succeeded")])
    seen(wait())
    assert seen.counts(ATTEMPTS, "http.response.status_code") == {200: 2}


@pytest.mark.parametrize(
    ("failure", "name"), [(UNAVAILABLE, "503"), (ConnectionLost("cut"), "airplane_runbooks.errors.ConnectionLost")]
)
def test_long_polls_that_fail_are_counted(make: Make, failure: Any, name: str) -> None:
    seen = make([session("Active", **APPLIED), failure, session("Succeeded", **APPLIED)], retry=NO_RETRY)
    seen(wait())
    assert seen.counts(ATTEMPTS, "error.type") == {name: 1, None: 1}  # and the ordinary poll after it


def test_a_long_poll_that_is_interrupted_is_not_counted(make: Make) -> None:
    seen = make([session("Active", **APPLIED), KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        seen(wait())
    assert seen.points(ATTEMPTS) == []
    assert {span.status.status_code for span in seen.spans} == {StatusCode.UNSET}
