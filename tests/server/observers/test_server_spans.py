from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from airplane_runbooks.server.observers.dispatch import Dispatcher
from airplane_runbooks.server.observers.emitter import Emitter
from airplane_runbooks.server.observers.tracing import Tracing
from airplane_runbooks.server.storage.records import (
    Failure,
    Outcome,
    Prompt,
    Run,
    RunKind,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=1"}
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def run(run_id="run1", kind=RunKind.RUNBOOK, **fields):
    fields = {"created_at": BEGINNING, "session_id": "ses1", "slug": "refund", **fields}
    return Run(id=run_id, kind=kind, task_id="t", name="Refund", env_slug="prod", **fields)


def traced(provider=None):
    return Emitter(Dispatcher([Tracing(provider)]))


class Recorded:
    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.emitter = traced(self.provider)

    def __getitem__(self, name):
        (span,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span


@pytest.fixture
def recorded():
    return Recorded()


def started(recorded):
    """Start a session by a call of the API, and return its root run."""
    with recorded.emitter.request("POST", "/v0/runbooks/execute", HEADERS) as exchange:
        root = replace(run(), trace_context=recorded.emitter.starting(run()))
        exchange.answered(200)
    return root


def below(span, other):
    return span.parent.span_id == other.context.span_id and span.context.trace_id == other.context.trace_id


def test_a_sessions_start_is_below_its_request_and_the_client(recorded):
    started(recorded)
    request, start = recorded["POST /v0/runbooks/execute"], recorded["start refund"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"
    assert request.kind is SpanKind.SERVER
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v0/runbooks/execute",
        "url.path": "/v0/runbooks/execute",
        "http.response.status_code": 200,
    }
    assert below(start, request)
    assert dict(start.attributes) == {
        "airplane.run.id": "run1",
        "airplane.runbook.slug": "refund",
        "airplane.session.id": "ses1",
    }


def test_spans_of_another_process_are_below_the_same_start(recorded):
    root = started(recorded)
    later = traced(recorded.provider)
    step = run("run2", RunKind.STEP, slug="find_invoice", root_id="run1")
    with (
        later.attempt(root, step, 2),
        trace.get_tracer("user", tracer_provider=recorded.provider).start_as_current_span("query"),
    ):
        pass
    later.ended(root, Outcome.succeeded(b"1"))
    start, attempt, end = recorded["start refund"], recorded["step find_invoice"], recorded["session refund"]
    assert below(attempt, start)
    assert below(end, start)
    assert below(recorded["query"], attempt)
    assert attempt.context.trace_state.get("vendor") == "1"
    assert attempt.attributes["airplane.attempt"] == 2
    assert end.start_time == int(BEGINNING.timestamp()) * 10**9
    assert end.attributes["airplane.run.status"] == "Succeeded"
    assert end.status.status_code is StatusCode.UNSET


def test_a_failed_attempt_shows_no_more_than_its_class(recorded):
    root = started(recorded)
    step = run("run2", RunKind.STEP, slug="issue", root_id="run1")
    with pytest.raises(LookupError), recorded.emitter.attempt(root, step, 1):
        raise LookupError("hunter2!")
    recorded.emitter.ended(root, Outcome.failed(Failure("StepFailed", "hunter2!")))
    for span, kind in ((recorded["step issue"], "LookupError"), (recorded["session refund"], "StepFailed")):
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == kind
        assert "hunter2!" not in span.to_json()
        assert span.events == ()


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"submitted_at": BEGINNING + timedelta(hours=2), "answered_by": "usr1"}, "submitted"),
        ({"cancelled_at": BEGINNING + timedelta(hours=2), "answered_by": "usr1"}, "cancelled"),
        ({"cancelled_at": BEGINNING + timedelta(hours=2)}, "expired"),
    ],
)
def test_a_prompts_span_lasts_until_the_answer_and_links_to_it(recorded, fields, outcome):
    root = started(recorded)
    prompt = Prompt(id="pmt1", run_id="run3", root_id="run1", description="hunter2!", created_at=BEGINNING, **fields)
    with recorded.emitter.request("POST", "/v0/prompts/submit", {}):
        recorded.emitter.prompt_closed(root, prompt)
    span = recorded["prompt"]
    assert below(span, recorded["start refund"])
    assert [link.context.span_id for link in span.links] == [recorded["POST /v0/prompts/submit"].context.span_id]
    assert span.end_time - span.start_time == 2 * 3600 * 10**9
    assert span.attributes["airplane.prompt.outcome"] == outcome
    assert "hunter2!" not in span.to_json()


def test_only_faults_of_the_server_are_errors_of_its_spans(recorded):
    for status in (404, 503):
        with recorded.emitter.request("GET", f"/{status}", {}) as exchange:
            exchange.answered(status)
    assert recorded["GET /404"].status.status_code is StatusCode.UNSET
    assert recorded["GET /503"].status.status_code is StatusCode.ERROR
    assert recorded["GET /503"].attributes["error.type"] == "503"


def test_the_clients_context_is_stored_without_an_sdk_as_well():
    emitter = traced()
    with emitter.request("POST", "/v0/runbooks/execute", HEADERS) as exchange:
        kept = emitter.starting(run())
        exchange.answered(200)
    assert TRACE in kept
    assert emitter.starting(run()) == ""
    with emitter.attempt(run(), run("run2", RunKind.STEP), 1):
        assert not trace.get_current_span().get_span_context().is_valid
    with emitter.attempt(replace(run(), trace_context=kept), run("run2", RunKind.STEP), 1):
        assert f"{trace.get_current_span().get_span_context().trace_id:032x}" == TRACE
