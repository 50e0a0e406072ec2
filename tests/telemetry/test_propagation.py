"""Trace headers of requests. The numbers are those of the promises in docs/reference/telemetry.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, NoOpTracerProvider, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from airplane_runbooks import Next, Request, Response
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either
from tests.support.observed import (
    ATTEMPTS,
    CALLS,
    OK,
    UNAVAILABLE,
    Make,
    execute,
)

TWO_RETRIES = (UNAVAILABLE, UNAVAILABLE, OK)
REMOTE = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@contextmanager
def attached(current: Context) -> Iterator[None]:
    token = context.attach(current)
    try:
        yield
    finally:
        context.detach(token)


def test_each_attempt_sends_its_own_span(make: Make) -> None:
    seen = make(TWO_RETRIES)
    seen.execute()
    assert [parts[2] for parts in seen.sent] == [f"{span.get_span_context().span_id:016x}" for span in seen.attempts]
    assert {parts[1] for parts in seen.sent} == {f"{seen.call.get_span_context().trace_id:032x}"}
    assert all(int(parts[3], 16) & 1 for parts in seen.sent)


def test_an_unsampled_call_keeps_its_trace_and_its_metrics(make: Make) -> None:
    seen = make(TWO_RETRIES, sampler=ALWAYS_OFF)
    seen.execute()
    assert seen.spans == ()
    assert len({parts[1] for parts in seen.sent}) == 1
    assert not any(int(parts[3], 16) & 1 for parts in seen.sent)
    assert [point.count for point in seen.points(CALLS)] == [1]
    assert seen.counts(ATTEMPTS, "http.response.status_code") == {503: 2, 200: 1}


def test_without_an_sdk_no_trace_is_made_up(kind: str) -> None:
    client = Either(kind, FakeTransport([OK]))
    client(execute)
    assert "traceparent" not in client.transport.requests[0].headers


def test_without_an_sdk_trace_and_baggage_are_passed_on(kind: str) -> None:
    client = Either(kind, FakeTransport(TWO_RETRIES))
    with attached(baggage.set_baggage("tenant", "t1", trace.set_span_in_context(NonRecordingSpan(REMOTE)))):
        client(execute)
    for request in client.transport.requests:
        assert request.headers["traceparent"] == f"00-{0xA1:032x}-{0xB2:016x}-01"
        assert request.headers["baggage"] == "tenant=t1"


def test_a_client_without_spans_passes_on_those_of_its_caller(make: Make) -> None:
    seen = make(tracer_provider=NoOpTracerProvider())
    with seen.provider.get_tracer("user").start_as_current_span("user") as mine:
        seen.execute()
    assert [span.name for span in seen.spans] == ["user"]
    assert seen.sent[0][2] == f"{mine.get_span_context().span_id:016x}"


def test_a_traceparent_of_the_caller_is_replaced(make: Make) -> None:
    seen = make(headers={"TraceParent": "theirs"})
    seen.execute()
    names = [name for name in seen.transport.requests[0].headers if name.lower() == "traceparent"]
    assert len(names) == 1
    assert seen.sent[0][2] == f"{seen.attempts[0].get_span_context().span_id:016x}"


def test_a_propagator_of_the_clients_own_is_used(make: Make) -> None:
    seen = make(propagator=TraceContextTextMapPropagator())
    with attached(baggage.set_baggage("tenant", "t1")):
        seen.execute()
    assert "traceparent" in seen.transport.requests[0].headers
    assert "baggage" not in seen.transport.requests[0].headers


def test_a_propagator_may_send_nothing_at_all(make: Make) -> None:
    seen = make(propagator=CompositePropagator([]))
    seen.execute()
    assert "traceparent" not in seen.transport.requests[0].headers
    assert len(seen.spans) == 2


PROPAGATORS = """
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either
from tests.support.observed import OK, execute

client = Either({kind!r}, FakeTransport([OK]), tracer_provider=TracerProvider())
context.attach(baggage.set_baggage("tenant", "t1"))
client(execute)
headers = client.transport.requests[0].headers
print("traceparent" in headers, "baggage" in headers)
"""


@pytest.mark.parametrize(("named", "sent"), [("baggage", "False True"), ("tracecontext", "True False")])
def test_the_environments_propagators_are_used(
    kind: str, named: str, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", named)
    command = [sys.executable, "-c", PROPAGATORS.format(kind=kind)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == sent


def test_another_origin_gets_no_trace(make: Make) -> None:
    async def elsewhere(request: Request, call_next: Next, /) -> Response:
        return await call_next(msgspec.structs.replace(request, origin="https://other.example"))

    seen = make(attempt_middleware=[elsewhere])
    with attached(baggage.set_baggage("tenant", "t1")):
        seen.execute()
    assert not {"traceparent", "tracestate", "baggage"} & set(seen.transport.requests[0].headers)
    assert len(seen.attempts) == 1
