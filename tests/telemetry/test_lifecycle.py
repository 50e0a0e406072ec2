"""Setup, failures, threads and costs of telemetry. The numbers are those in docs/reference/telemetry.md."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from airplane_runbooks import SessionFailed
from airplane_runbooks.telemetry import client as client_telemetry
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either, Model
from tests.support.observed import (
    ATTEMPTS,
    CALLS,
    OK,
    UNAVAILABLE,
    Make,
    Observed,
    attributes,
    execute,
)

STARTED = json_response({"sessionID": "ses1"})
ACTIVE = json_response({"id": "ses1", "status": "Active"})
SUCCEEDED = json_response({"id": "ses1", "status": "Succeeded"})
RUN = json_response({"id": "run1", "status": "Active"})

PROVIDERS = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either
from tests.support.observed import OK, Observed, execute

early = Either({kind!r}, FakeTransport([OK, OK]))
early(execute)
exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
early(execute)
print([span.name for span in exporter.get_finished_spans()])
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
print([metric.data.data_points[0].count for metric in scope.metrics])
exporter.clear()
own = Observed({kind!r})
own.execute()
print(len(own.spans), len(exporter.get_finished_spans()))
"""


def test_providers_set_later_are_found(kind: str) -> None:
    command = [sys.executable, "-c", PROVIDERS.format(kind=kind)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['POST', 'runbooks.execute']", "[1, 1]", "2 0"]


def test_a_thread_that_is_given_the_context_keeps_the_parent(make: Make) -> None:
    seen = make()
    with seen.provider.get_tracer("user").start_as_current_span("user"), ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.copy_context().run, seen.execute).result()
    assert seen.tree() == {"": ["user"], "user": ["runbooks.execute"], "runbooks.execute": ["POST"]}


def test_to_thread_keeps_the_parent() -> None:
    seen = Observed("sync")

    async def main() -> None:
        with seen.provider.get_tracer("user").start_as_current_span("user"):
            await asyncio.to_thread(seen.execute)

    asyncio.run(main())
    assert seen.tree() == {"": ["user"], "user": ["runbooks.execute"], "runbooks.execute": ["POST"]}


def test_each_page_of_a_list_is_an_operation(make: Make) -> None:
    model = Model()
    for number in range(5):
        model.add_run(f"run{number}")
    seen = make(model.transport, base_url="http://localhost/v0")
    assert len(seen(lambda airplane: airplane.runs.list(page_size=2))) == 5
    assert seen.tree() == {"": ["runs.list"] * 3, "runs.list": ["GET"] * 3}


def test_no_span_is_current_between_the_pages_of_a_list() -> None:
    numbers = itertools.count()

    def answer(_: object) -> Any:
        return json_response({"runs": [{"id": f"run{next(numbers)}", "status": "Active"}]})

    seen = Observed("sync", answer)
    for _ in seen.client.runs.list(page_size=1):
        assert not trace.get_current_span().get_span_context().is_valid
        if len(seen.transport.requests) == 3:
            break
    assert not trace.get_current_span().get_span_context().is_valid

    async def main() -> None:
        with other.provider.get_tracer("test").start_as_current_span("mine") as mine:
            async for _ in other.client.runs.list(page_size=1):
                assert trace.get_current_span() is mine
                if len(other.transport.requests) == 3:
                    break
            assert trace.get_current_span() is mine

    other = Observed("async", answer)
    asyncio.run(main())


def test_execute_and_wait_is_one_operation_with_its_attempts(make: Make) -> None:
    seen = make([STARTED, ACTIVE, UNAVAILABLE, SUCCEEDED])
    seen(lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=60))
    name = "runbooks.execute_and_wait"
    assert seen.tree() == {"": [name], name: ["POST", "GET", "GET", "GET"]}
    assert attributes(seen.call)["airplane.operation.attempts"] == 4
    assert attributes(seen.call)["airplane.session.id"] == "ses1"
    assert seen.counts(CALLS, "airplane.operation.name") == {name: 1}
    assert sum(point.count for point in seen.points(ATTEMPTS)) == 4


def test_a_call_in_a_callback_is_an_operation_of_its_own(make: Make) -> None:
    seen = make([ACTIVE, RUN, SUCCEEDED, RUN])

    def look(*_: object) -> Any:
        return seen.client.runs.get("run1")

    seen(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60, on_progress=look))
    assert seen.tree() == {
        "": ["sessions.wait"],
        "sessions.wait": ["GET", "runs.get", "GET", "runs.get"],
        "runs.get": ["GET", "GET"],
    }


def test_a_wait_that_fails_says_so(make: Make) -> None:
    error = {"kind": "KeyError", "message": "no tkn_test", "step": "find"}
    for status in ("Failed", "Cancelled"):
        seen = make([json_response({"id": "ses1", "status": status, "error": error})])
        with pytest.raises(SessionFailed) as caught:
            seen(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=60))
        kind = {"Failed": "SessionFailed", "Cancelled": "SessionCancelled"}[status]
        assert attributes(seen.call)["error.type"] == f"airplane_runbooks.errors.{kind}"
        assert attributes(seen.call)["airplane.session.id"] == "ses1"
        assert seen.call.status.status_code is trace.StatusCode.ERROR
        assert seen.call.status.description == str(caught.value)
        assert "KeyError: no [api key]" in str(caught.value)


def test_the_steps_of_a_session_are_one_operation(make: Make) -> None:
    model = Model()
    model.add_session()
    for number in range(3):
        model.add_run(f"run{number}", status="Succeeded")
    seen = make(model.transport, base_url="http://localhost/v0")
    seen(lambda airplane: airplane.sessions.steps("ses1"))
    assert seen.tree() == {"": ["sessions.steps"], "sessions.steps": ["GET"] * 5}


class Breaking(Sampler, SpanProcessor, TextMapPropagator):
    """Raises at the one place that it is told."""

    def __init__(self, place: str) -> None:
        self.place = place

    def _at(self, place: str) -> None:
        if place == self.place:
            raise ValueError(f"{place} is broken, and tkn_test is a secret")

    def should_sample(self, *_: Any, **__: Any) -> Any:
        self._at("sampler")

    def get_description(self) -> str:
        return "breaking"

    def on_start(self, *_: Any, **__: Any) -> None:
        self._at("start")

    def on_end(self, *_: Any) -> None:
        self._at("end")

    def inject(self, *_: Any, **__: Any) -> None:
        self._at("propagator")

    def extract(self, *_: Any, **__: Any) -> Any: ...

    @property
    def fields(self) -> set[str]:
        return set()


def broken(place: str) -> dict[str, Any]:
    """Return the options of a client whose telemetry breaks at that place."""
    breaking = Breaking(place)
    options: dict[str, Any] = {"propagator": breaking if place == "propagator" else CompositePropagator([])}
    provider = TracerProvider(**({"sampler": breaking} if place == "sampler" else {}))
    provider.add_span_processor(breaking)
    options["tracer_provider"] = provider
    if place == "meter":
        options["meter_provider"] = MeterProvider()
    return options


@pytest.mark.parametrize("place", ["sampler", "start", "end", "propagator"])
def test_what_raises_behind_the_api_changes_no_result(kind: str, place: str, caplog: pytest.LogCaptureFixture) -> None:
    client = Either(kind, FakeTransport([UNAVAILABLE, OK, OK]), **broken(place))
    with caplog.at_level(logging.INFO, "airplane_runbooks"):
        assert [client(execute).session_id for _ in range(2)] == ["ses1", "ses1"]
    assert not trace.get_current_span().get_span_context().is_valid
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == ["telemetry is incomplete: builtins.ValueError"]


def test_a_span_that_raises_changes_no_result(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace import Span

    def is_recording(_: Any) -> bool:
        raise ValueError("broken")

    monkeypatch.setattr(Span, "is_recording", is_recording)
    client = Either(kind, FakeTransport([UNAVAILABLE, OK]), tracer_provider=TracerProvider())
    assert client(execute).session_id == "ses1"
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_histogram_that_raises_changes_no_result(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.metrics._internal.instrument import Histogram

    def record(*_: Any, **__: Any) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(Histogram, "record", record)
    client = Either(kind, FakeTransport([OK]), meter_provider=MeterProvider())
    assert client(execute).session_id == "ses1"


def test_without_an_sdk_a_call_does_a_small_amount_of_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Either(kind, FakeTransport([OK, OK]))
    client(execute)
    called: list[str] = []
    ours = ("opentelemetry", "airplane_runbooks.telemetry", "airplane_runbooks.middleware.tracing")

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").startswith(ours):
            called.append(frame.f_code.co_name)

    monkeypatch.setattr(trace, "get_tracer", None)
    sys.setprofile(note)
    try:
        client(execute)
    finally:
        sys.setprofile(None)
    assert sorted(set(called)) == ["__call__", "get_current", "is_idle"]
    assert len(called) <= 5


def test_providers_kept_elsewhere_are_found_through_stand_ins(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_telemetry, "trace", SimpleNamespace(**{**vars(trace), "_TRACER_PROVIDER": object()}))
    client = Either(kind, FakeTransport([OK, OK]))
    assert [client(execute).session_id for _ in range(2)] == ["ses1", "ses1"]
    assert not client.client._runner.core.telemetry.is_idle()


def test_nothing_of_the_sdk_is_imported(kind: str) -> None:
    code = f"""
import sys
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either
from airplane_runbooks.testing import json_response
Either({kind!r}, FakeTransport([json_response({{"sessionID": "ses1"}})]))(lambda one: one.runbooks.execute(slug="x"))
parts = ("opentelemetry.sdk", "opentelemetry.semconv", "opentelemetry.instrumentation")
print([name for name in sys.modules if name.startswith(parts)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
