"""The spans and metrics of a call, with a real SDK behind the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from airplane_runbooks import (
    Airplane,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    DecodeError,
    Next,
    Request,
    Response,
    RetryPolicy,
    ServerError,
    TransportError,
    __version__,
)
from airplane_runbooks.middleware.tracing import redact_url
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response

OK = json_response({"sessionID": "ses1"}, headers={"X-Request-ID": "req1"})
UNAVAILABLE = json_response({"error": "try later"}, status=503)
SERVER = {"server.address": "localhost", "server.port": 8080}
URL = "http://localhost:8080/api/v0/runbooks/execute"


class Observed:
    """A client over a script, with all that it tells telemetry."""

    def __init__(self, *script: Any, sampler: Sampler | None = None, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**({} if sampler is None else {"sampler": sampler}))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.transport = FakeTransport(list(script))
        self.airplane = Airplane(
            "tkn_test",
            base_url="http://localhost:8080/api/v0",
            transport=self.transport,
            clock=FakeClock(),
            tracer_provider=self.provider,
            meter_provider=MeterProvider([self.reader]),
            **options,
        )

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    @property
    def call(self) -> ReadableSpan:
        (span,) = (span for span in self.spans if span.kind is SpanKind.INTERNAL)
        return span

    def points(self, name: str) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        metrics = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


def test_two_retries_give_one_call_span_with_three_attempts_below() -> None:
    seen = Observed(UNAVAILABLE, UNAVAILABLE, OK)
    seen.airplane.runbooks.execute(slug="x")
    assert [span.name for span in seen.spans] == ["POST", "POST", "POST", "runbooks.execute"]
    assert all(span.parent == seen.call.get_span_context() for span in seen.attempts)
    assert [span.status.status_code for span in seen.attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert [span.status.description for span in seen.attempts] == [None, None, None]
    assert [dict(span.attributes or {}) for span in seen.attempts] == [
        {
            "http.request.method": "POST",
            **SERVER,
            "url.full": URL,
            "http.response.status_code": 503,
            "error.type": "503",
        },
        {
            "http.request.method": "POST",
            **SERVER,
            "url.full": URL,
            "http.request.resend_count": 1,
            "http.response.status_code": 503,
            "error.type": "503",
        },
        {
            "http.request.method": "POST",
            **SERVER,
            "url.full": URL,
            "http.request.resend_count": 2,
            "http.response.status_code": 200,
            "airplane.request_id": "req1",
        },
    ]
    assert seen.call.status.status_code is StatusCode.UNSET
    assert dict(seen.call.attributes or {}) == {
        "airplane.operation.name": "runbooks.execute",
        **SERVER,
        "airplane.operation.attempts": 3,
        "airplane.session.id": "ses1",
    }
    assert not any(span.events or span.links for span in seen.spans)


def test_each_attempt_sends_its_own_context() -> None:
    seen = Observed(UNAVAILABLE, OK)
    seen.airplane.runbooks.execute(slug="x")
    sent = [request.headers["traceparent"].split("-") for request in seen.transport.requests]
    assert [parts[2] for parts in sent] == [f"{span.get_span_context().span_id:016x}" for span in seen.attempts]
    assert {parts[1] for parts in sent} == {f"{seen.call.get_span_context().trace_id:032x}"}
    assert all(int(parts[3], 16) & 1 for parts in sent)


def test_the_scope_names_the_library_its_version_and_schema() -> None:
    seen = Observed(OK)
    seen.airplane.runbooks.execute(slug="x")
    scope = seen.call.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("airplane_runbooks", __version__)
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


def test_exhausted_retries_make_the_call_an_error_of_the_class_that_the_caller_catches() -> None:
    seen = Observed(UNAVAILABLE, UNAVAILABLE, retry=RetryPolicy(max_attempts=2))
    with pytest.raises(ServerError):
        seen.airplane.runbooks.execute(slug="x")
    attributes = seen.call.attributes or {}
    assert seen.call.status.status_code is StatusCode.ERROR
    assert seen.call.status.description == "503: try later"
    assert attributes["error.type"] == "airplane_runbooks.errors.ServerError"
    assert attributes["airplane.operation.attempts"] == 2


@pytest.mark.parametrize("failure", [ConnectError("refused", transient=False), ConnectionLost("cut short")])
def test_a_failure_without_a_response_names_its_class(failure: TransportError) -> None:
    failure.status = 200 if isinstance(failure, ConnectionLost) else None
    seen = Observed(failure, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(type(failure)):
        seen.airplane.runbooks.execute(slug="x")
    attributes = dict(seen.attempts[0].attributes or {})
    assert attributes["error.type"] == f"airplane_runbooks.errors.{type(failure).__name__}"
    assert attributes.get("http.response.status_code") == failure.status
    assert seen.points("http.client.request.duration")[0].attributes["error.type"] == attributes["error.type"]


def test_what_is_refused_before_any_io_is_an_error_without_attempts() -> None:
    seen = Observed()
    with pytest.raises(ConfigurationError):
        seen.airplane.runbooks.execute()
    assert seen.attempts == []
    assert (seen.call.attributes or {})["airplane.operation.attempts"] == 0
    assert seen.call.status.status_code is StatusCode.ERROR


def test_an_unreadable_reply_is_an_error_of_the_call_alone() -> None:
    seen = Observed(json_response([]))
    with pytest.raises(DecodeError):
        seen.airplane.runbooks.execute(slug="x")
    assert seen.call.status.status_code is StatusCode.ERROR
    assert seen.attempts[0].status.status_code is StatusCode.UNSET


def test_a_cancellation_ends_all_spans_without_an_error() -> None:
    seen = Observed(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        seen.airplane.runbooks.execute(slug="x")
    assert len(seen.spans) == 2
    assert all(span.status.status_code is StatusCode.UNSET for span in seen.spans)
    assert not any("error.type" in (span.attributes or {}) for span in seen.spans)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_exception_that_is_none_of_ours_leaves_its_text_out() -> None:
    seen = Observed(RuntimeError("secret=42"))
    with pytest.raises(RuntimeError):
        seen.airplane.runbooks.execute(slug="x")
    assert seen.call.status.description is None
    assert "secret" not in "".join(span.to_json() for span in seen.spans)


def test_the_users_span_is_the_parent_and_is_current_again_afterwards() -> None:
    seen = Observed(OK)
    with seen.provider.get_tracer("user").start_as_current_span("user", kind=SpanKind.SERVER) as span:
        seen.airplane.runbooks.execute(slug="x")
        assert trace.get_current_span() is span
    assert seen.call.parent == span.get_span_context()


def test_middleware_runs_under_the_span_of_the_call() -> None:
    names = []

    async def look(request: Request, call_next: Next, /) -> Response:
        span: Any = trace.get_current_span()
        names.append(span.name)
        return await call_next(request)

    seen = Observed(OK, middleware=[look], attempt_middleware=[look])
    seen.airplane.runbooks.execute(slug="x")
    assert names == ["runbooks.execute", "runbooks.execute"]


class TestSampling:
    def test_what_is_not_sampled_is_not_exported_but_keeps_its_trace(self) -> None:
        seen = Observed(UNAVAILABLE, OK, sampler=ALWAYS_OFF)
        seen.airplane.runbooks.execute(slug="x")
        sent = [request.headers["traceparent"].split("-") for request in seen.transport.requests]
        assert seen.spans == ()
        assert len({parts[1] for parts in sent}) == 1
        assert not any(int(parts[3], 16) & 1 for parts in sent)
        assert len(seen.points("airplane.client.operation.duration")) == 1

    def test_a_sampler_sees_what_it_may_decide_by(self) -> None:
        asked: list[tuple[str, dict[str, Any]]] = []

        class Watching(Sampler):
            def should_sample(self, parent_context: Any, trace_id: Any, name: str, *args: Any, **kwargs: Any) -> Any:
                attributes = kwargs.get("attributes") or (args[1] if len(args) > 1 else {})
                asked.append((name, dict(attributes)))
                from opentelemetry.sdk.trace.sampling import ALWAYS_ON

                return ALWAYS_ON.should_sample(parent_context, trace_id, name, *args, **kwargs)

            def get_description(self) -> str:
                return "watching"

        Observed(OK, sampler=Watching()).airplane.runbooks.execute(slug="x")
        assert asked == [
            ("runbooks.execute", {"airplane.operation.name": "runbooks.execute", **SERVER}),
            ("POST", {"http.request.method": "POST", **SERVER, "url.full": URL}),
        ]


class TestPropagation:
    def test_without_a_trace_nothing_is_sent(self) -> None:
        transport = FakeTransport([OK])
        Airplane("tkn_test", base_url="http://localhost", transport=transport).runbooks.execute(slug="x")
        assert "traceparent" not in transport.requests[0].headers

    def test_without_an_sdk_the_callers_trace_and_baggage_are_passed_on(self) -> None:
        transport = FakeTransport([OK])
        parent = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        remote = baggage.set_baggage("tenant", "t1", trace.set_span_in_context(NonRecordingSpan(parent)))
        token = context.attach(remote)
        try:
            Airplane("tkn_test", base_url="http://localhost", transport=transport).runbooks.execute(slug="x")
        finally:
            context.detach(token)
        headers = transport.requests[0].headers
        assert headers["traceparent"] == f"00-{0xA1:032x}-{0xB2:016x}-01"
        assert headers["baggage"] == "tenant=t1"

    def test_a_traceparent_of_the_caller_is_replaced_not_doubled(self) -> None:
        seen = Observed(OK, headers={"TraceParent": "theirs"})
        seen.airplane.runbooks.execute(slug="x")
        assert seen.transport.requests[0].headers["traceparent"] != "theirs"

    def test_a_propagator_of_the_clients_own_is_used(self) -> None:
        seen = Observed(OK, propagator=TraceContextTextMapPropagator())
        with_baggage = context.attach(baggage.set_baggage("tenant", "t1"))
        try:
            seen.airplane.runbooks.execute(slug="x")
        finally:
            context.detach(with_baggage)
        assert "traceparent" in seen.transport.requests[0].headers
        assert "baggage" not in seen.transport.requests[0].headers

    def test_a_propagator_may_send_nothing_at_all(self) -> None:
        seen = Observed(OK, propagator=CompositePropagator([]))
        seen.airplane.runbooks.execute(slug="x")
        assert "traceparent" not in seen.transport.requests[0].headers
        assert len(seen.spans) == 2


class TestSuppression:
    @staticmethod
    def keys_seen(**options: Any) -> list[bool]:
        http_key = context._SUPPRESS_HTTP_INSTRUMENTATION_KEY
        seen: list[bool] = []

        def handler(request: Request) -> Response:
            seen.append(bool(context.get_value(http_key)))
            return OK

        provider = TracerProvider()
        airplane = Airplane(
            "tkn_test",
            base_url="http://localhost",
            transport=FakeTransport(handler),
            tracer_provider=provider,
            **options,
        )
        airplane.runbooks.execute(slug="x")
        assert context.get_value(http_key) is None
        return seen

    def test_other_instrumentation_is_silent_inside_of_an_attempt_only(self) -> None:
        assert self.keys_seen() == [True]

    def test_it_can_be_left_to_speak(self) -> None:
        assert self.keys_seen(suppress_http_instrumentation=False) == [False]

    def test_we_are_silent_where_all_instrumentation_is(self) -> None:
        seen = Observed(OK)
        parent = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        quiet = context.set_value(
            context._SUPPRESS_INSTRUMENTATION_KEY, True, trace.set_span_in_context(NonRecordingSpan(parent))
        )
        token = context.attach(quiet)
        try:
            seen.airplane.runbooks.execute(slug="x")
        finally:
            context.detach(token)
        assert seen.spans == ()
        assert seen.transport.requests[0].headers["traceparent"].split("-")[2] == f"{0xB2:016x}"


class TestMetrics:
    def test_count_attempts_and_calls(self) -> None:
        seen = Observed(UNAVAILABLE, UNAVAILABLE, OK)
        seen.airplane.runbooks.execute(slug="x")
        attempts = {point.attributes["http.response.status_code"]: point for point in _points(seen, "attempts")}
        assert {status: point.count for status, point in attempts.items()} == {503: 2, 200: 1}
        assert dict(attempts[503].attributes) == {
            "http.request.method": "POST",
            **SERVER,
            "http.response.status_code": 503,
            "error.type": "503",
        }
        (call,) = _points(seen, "calls")
        assert call.count == 1
        assert dict(call.attributes) == {"airplane.operation.name": "runbooks.execute", **SERVER}

    def test_have_the_advised_bounds(self) -> None:
        seen = Observed(OK)
        seen.airplane.runbooks.execute(slug="x")
        bounds = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
        assert _points(seen, "attempts")[0].explicit_bounds == bounds

    def test_name_the_error_of_a_failed_call(self) -> None:
        seen = Observed(json_response({}, status=404))
        with pytest.raises(Exception, match="404"):
            seen.airplane.runbooks.execute(slug="x")
        assert _points(seen, "calls")[0].attributes["error.type"] == "airplane_runbooks.errors.NotFound"


def _points(seen: Observed, what: str) -> list[Any]:
    return seen.points(
        {"attempts": "http.client.request.duration", "calls": "airplane.client.operation.duration"}[what]
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/p", "http://h/p"),
        ("http://h/p?id=1", "http://h/p?id=1"),
        ("http://h/p?sig=abc&id=1", "http://h/p?sig=REDACTED&id=1"),
        ("http://h/p?SIG=abc", "http://h/p?SIG=abc"),
        (
            "http://h/p?X-Amz-Signature=abc&X-Goog-Signature=d",
            "http://h/p?X-Amz-Signature=REDACTED&X-Goog-Signature=REDACTED",
        ),
    ],
)
def test_signatures_in_a_query_are_blotted_out(url: str, shown: str) -> None:
    assert redact_url(url) == shown
