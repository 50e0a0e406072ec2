"""Either client over a script, with all that it tells telemetry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanKind

from airplane_runbooks import RetryPolicy
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

ATTEMPTS, CALLS = "http.client.request.duration", "airplane.client.operation.duration"

OK = json_response({"sessionID": "ses1"}, headers={"X-Request-ID": "req1"})
UNAVAILABLE = json_response({"error": "try later"}, status=503)
SERVER = {"server.address": "localhost", "server.port": 8080}
BASE_URL = "http://localhost:8080/api/v0"
URL = f"{BASE_URL}/runbooks/execute"


class Observed(Either):
    """A sync or an async client with providers of its own, as `Either`."""

    def __init__(self, kind: str, answers: Any = (OK,), *, sampler: Sampler | None = None, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**({} if sampler is None else {"sampler": sampler}))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        transport = answers if isinstance(answers, FakeTransport) else FakeTransport(answers)
        providers = {"tracer_provider": self.provider, "meter_provider": MeterProvider([self.reader])}
        self.options: dict[str, Any] = {"base_url": BASE_URL, **providers, **options}
        super().__init__(kind, transport, **self.options)

    def execute(self) -> Any:
        return self(execute)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """In the order of their ends."""
        return self.exporter.get_finished_spans()

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    @property
    def call(self) -> ReadableSpan:
        (span,) = (span for span in self.spans if span.kind is SpanKind.INTERNAL)
        return span

    def tree(self) -> dict[str, list[str]]:
        """Return the names of the spans below each operation's span, and below none."""
        spans = sorted(self.spans, key=lambda span: span.start_time or 0)
        names = {span.get_span_context().span_id: span.name for span in spans}
        below: dict[str, list[str]] = {}
        for span in spans:
            below.setdefault("" if span.parent is None else names[span.parent.span_id], []).append(span.name)
        return below

    def points(self, name: str) -> list[Any]:
        return [point for metric in self.metrics() if metric.name == name for point in metric.data.data_points]

    def metrics(self) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        return [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]

    def counts(self, name: str, key: str) -> dict[Any, int]:
        return {point.attributes.get(key): point.count for point in self.points(name)}

    @property
    def sent(self) -> list[list[str]]:
        """The parts of each request's `traceparent`."""
        return [request.headers["traceparent"].split("-") for request in self.transport.requests]


def execute(airplane: Any) -> Any:
    return airplane.runbooks.execute("x")


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


Make = Callable[..., Observed]

ONCE = RetryPolicy(max_attempts=1)
