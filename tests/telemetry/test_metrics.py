"""Metrics of attempts and calls. The numbers are those of the promises in docs/reference/telemetry.md."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airplane_runbooks import ConnectError, Next, NotFound, Request, Response
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response
from tests.support.observed import (
    ATTEMPTS,
    CALLS,
    OK,
    ONCE,
    SERVER,
    UNAVAILABLE,
    Make,
    attributes,
)

TWO_RETRIES = (UNAVAILABLE, UNAVAILABLE, OK)
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def test_metrics_have_seconds_and_the_advised_bounds(make: Make) -> None:
    seen = make([*TWO_RETRIES, OK])
    seen.execute()
    seen.execute()
    metrics = {metric.name: metric for metric in seen.metrics()}
    assert set(metrics) == {ATTEMPTS, CALLS}
    assert [metric.unit for metric in metrics.values()] == ["s", "s"]
    assert seen.counts(ATTEMPTS, "http.response.status_code") == {503: 2, 200: 2}
    assert sum(point.count for point in seen.points(ATTEMPTS)) == len(seen.transport.requests)
    assert seen.counts(CALLS, "airplane.operation.name") == {"runbooks.execute": 2}
    assert {tuple(point.explicit_bounds) for point in seen.points(ATTEMPTS)} == {BOUNDS}
    assert {tuple(point.explicit_bounds) for point in seen.points(CALLS)} == {(*BOUNDS, 30, 60, 120)}


def test_an_interrupted_attempt_is_counted_too(make: Make) -> None:
    seen = make([KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        seen.execute()
    assert seen.counts(ATTEMPTS, "error.type") == {None: 1}
    assert seen.counts(CALLS, "error.type") == {None: 1}


@pytest.mark.parametrize("outcome", [UNAVAILABLE, ConnectError("refused")])
def test_an_attempts_point_and_span_agree(make: Make, outcome: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()  # for the metric and the span alike, and only the transport's work takes time on it

    def answer(_request: Request) -> Any:
        clock.advance(2.5)
        return outcome

    monkeypatch.setattr("airplane_runbooks.middleware.tracing.perf_counter", clock.now)
    monkeypatch.setattr("opentelemetry.sdk.trace.time_ns", lambda: round(clock.now() * 1e9))
    seen = make(FakeTransport(answer), retry=ONCE)
    with pytest.raises(Exception, match=r"try later|refused"):
        seen.execute()
    (point,), (attempt,) = seen.points(ATTEMPTS), seen.attempts
    assert point.attributes["error.type"] == attributes(attempt)["error.type"]
    assert attempt.start_time is not None
    assert attempt.end_time is not None
    assert point.sum == (attempt.end_time - attempt.start_time) / 1e9 == 2.5


def test_points_have_no_ids_urls_or_resend_counts(make: Make) -> None:
    seen = make(TWO_RETRIES)
    seen.execute()
    attempt = {"http.request.method": "POST", **SERVER}
    assert sorted((dict(point.attributes) for point in seen.points(ATTEMPTS)), key=len) == [
        {**attempt, "http.response.status_code": 200},
        {**attempt, "http.response.status_code": 503, "error.type": "503"},
    ]
    assert [dict(point.attributes) for point in seen.points(CALLS)] == [
        {"airplane.operation.name": "runbooks.execute", **SERVER}
    ]


def test_exemplars_lead_to_the_spans(make: Make) -> None:
    seen = make()
    seen.execute()
    metrics = {metric.name: metric.data.data_points for metric in seen.metrics()}  # each exemplar is collected once
    for name, span in ((ATTEMPTS, seen.attempts[0]), (CALLS, seen.call)):
        ((exemplar,),) = (point.exemplars for point in metrics[name])
        assert (exemplar.trace_id, exemplar.span_id) == (span.context.trace_id, span.context.span_id)


def test_a_failed_call_is_counted_by_the_class_of_its_error(make: Make) -> None:
    seen = make([json_response({}, status=404)])
    with pytest.raises(NotFound):
        seen.execute()
    assert seen.counts(CALLS, "error.type") == {"airplane_runbooks.errors.NotFound": 1}


def test_what_is_kept_of_attempts_has_a_bound(make: Make) -> None:
    async def elsewhere(request: Request, call_next: Next, /) -> Response:
        return await call_next(
            msgspec.structs.replace(request, origin=f"http://h{len(seen.transport.requests)}.example")
        )

    seen = make([OK] * 600, attempt_middleware=[elsewhere])
    for _ in range(600):
        seen.execute()
    assert len(seen.client._runner.core.telemetry.attempts) <= 256
    assert len(seen.points(ATTEMPTS)) == 600
