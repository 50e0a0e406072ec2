"""The spans and metrics of operations that are made of several calls, and of lists, with either client."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from airplane_runbooks import SessionFailed
from airplane_runbooks.testing import FakeTransport, json_response
from tests.client.support import Either, Model

STARTED = json_response({"sessionID": "ses1"})
ACTIVE = json_response({"id": "ses1", "status": "Active"})
SUCCEEDED = json_response({"id": "ses1", "status": "Succeeded"})
RUN = json_response({"id": "run1", "status": "Active"})


class Observed(Either):
    """Either client, with all that it tells telemetry."""

    def __init__(self, kind: str, answers: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        transport = answers if isinstance(answers, FakeTransport) else FakeTransport(answers)
        super().__init__(kind, transport, tracer_provider=self.provider, meter_provider=MeterProvider([self.reader]))

    def tree(self) -> dict[str, list[str]]:
        """Return the names of the spans below each operation's span, and below none."""
        spans = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)
        names = {span.get_span_context().span_id: span.name for span in spans if span.get_span_context()}
        below: dict[str, list[str]] = {}
        for span in spans:
            below.setdefault("" if span.parent is None else names[span.parent.span_id], []).append(span.name)
        return below

    def operation(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.exporter.get_finished_spans() if span.name == name)
        assert span.kind is SpanKind.INTERNAL
        return span

    def counts(self, name: str, key: str) -> dict[Any, int]:
        data: Any = self.reader.get_metrics_data()
        points = [
            point
            for scope in data.resource_metrics[0].scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return {point.attributes.get(key): point.count for point in points}


Make = Callable[[Any], Observed]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    return lambda answers: Observed(request.param, answers)


def test_execute_and_wait_is_one_operation_with_all_attempts_below(make: Make) -> None:
    seen = make([STARTED, ACTIVE, json_response({}, status=503), SUCCEEDED])
    seen(lambda airplane: airplane.runbooks.execute_and_wait(slug="x", timeout=60))
    assert seen.tree() == {
        "": ["runbooks.execute_and_wait"],
        "runbooks.execute_and_wait": ["POST", "GET", "GET", "GET"],
    }
    assert dict(seen.operation("runbooks.execute_and_wait").attributes or {}) == {
        "airplane.operation.name": "runbooks.execute_and_wait",
        "server.address": "api.airplane.dev",
        "server.port": 443,
        "airplane.operation.attempts": 4,
        "airplane.session.id": "ses1",
    }


def test_metrics_count_the_operation_once_and_every_attempt(make: Make) -> None:
    seen = make([STARTED, ACTIVE, SUCCEEDED])
    seen(lambda airplane: airplane.runbooks.execute_and_wait(slug="x", timeout=60))
    operations = seen.counts("airplane.client.operation.duration", "airplane.operation.name")
    assert operations == {"runbooks.execute_and_wait": 1}
    assert seen.counts("http.client.request.duration", "http.request.method") == {"POST": 1, "GET": 2}


def test_a_call_made_in_a_callback_is_an_operation_of_its_own_below(make: Make) -> None:
    seen = make([ACTIVE, RUN, SUCCEEDED, RUN])

    def look(*_: object) -> Any:
        return seen.client.runs.get("run1")

    seen(lambda airplane: airplane.sessions.wait("ses1", timeout=60, on_progress=look))
    assert seen.tree() == {
        "": ["sessions.wait"],
        "sessions.wait": ["GET", "runs.get", "GET", "runs.get"],
        "runs.get": ["GET", "GET"],
    }


def test_a_wait_that_fails_says_so_on_its_span(make: Make) -> None:
    seen = make([json_response({"id": "ses1", "status": "Failed"})])
    with pytest.raises(SessionFailed):
        seen(lambda airplane: airplane.sessions.wait("ses1", timeout=60))
    span = seen.operation("sessions.wait")
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "airplane_runbooks.errors.SessionFailed"
    assert (span.attributes or {})["airplane.session.id"] == "ses1"


def test_the_steps_of_a_session_are_one_operation(make: Make) -> None:
    model = Model()
    model.add_session()
    for number in range(3):
        model.add_run(f"run{number}", status="Succeeded")
    seen = make(model.transport)
    seen(lambda airplane: airplane.sessions.steps("ses1"))
    assert seen.tree() == {"": ["sessions.steps"], "sessions.steps": ["GET"] * 5}


def test_each_page_of_a_list_is_an_operation(make: Make) -> None:
    model = Model()
    for number in range(5):
        model.add_run(f"run{number}")
    seen = make(model.transport)
    assert len(seen(lambda airplane: airplane.runs.list(page_size=2))) == 5
    assert seen.tree() == {"": ["runs.list"] * 3, "runs.list": ["GET"] * 3}


def test_no_span_is_current_between_the_pages_of_a_list_nor_after_a_break() -> None:
    numbers = itertools.count()

    def answer(_: object) -> Any:
        return json_response({"runs": [{"id": f"run{next(numbers)}", "status": "Active"}]})

    seen = Observed("sync", answer)
    for _ in seen.client.runs.list(page_size=1):
        assert not get_current_span().get_span_context().is_valid
        if len(seen.transport.requests) == 3:
            break
    assert not get_current_span().get_span_context().is_valid

    async def main() -> None:
        with other.provider.get_tracer("test").start_as_current_span("mine") as mine:
            async for _ in other.client.runs.list(page_size=1):
                assert get_current_span() is mine
                if len(other.transport.requests) == 3:
                    break
            assert get_current_span() is mine

    other = Observed("async", answer)
    asyncio.run(main())
