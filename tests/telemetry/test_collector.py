"""Spans and metrics of a call, read back behind the SDK's exporter and a real collector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import DefaultAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from airplane_runbooks import Unauthorized, __version__
from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.testing.hostile import reply
from tests.support.observed import ATTEMPTS, CALLS, execute
from tests.support.receiver import (
    Received,
    Receiver,
    collecting,
    plain,
)
from tests.support.spans import (
    KEY,
    KINDS,
    TWO_RETRIES,
    call,
    serving,
)

pytestmark = pytest.mark.telemetry

SDK = tuple(map(int, version("opentelemetry-sdk").split(".")[:2]))
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
BOUNDS = {ATTEMPTS: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]}
BOUNDS[CALLS] = [*BOUNDS[ATTEMPTS], 30, 60, 120]


class Pipeline:
    """The way from the SDK through a collector to a receiver, and what has come out at its end."""

    def __init__(self, endpoint: str, receiver: Receiver) -> None:
        self._endpoint = endpoint
        self._receiver = receiver

    def tracer_provider(self, service: str) -> TracerProvider:
        provider = TracerProvider(resource=Resource({"service.name": service}))
        exporter = OTLPSpanExporter(f"{self._endpoint}/v1/traces", compression=Compression.Gzip)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider

    def meter_provider(self, service: str) -> MeterProvider:
        exporter = OTLPMetricExporter(
            f"{self._endpoint}/v1/metrics",
            compression=Compression.Gzip,
            # before 1.32 it demands its own bounds for all histograms, unless it is told to leave them alone
            preferred_aggregation={Histogram: DefaultAggregation()} if SDK < (1, 32) else None,
        )
        return MeterProvider([PeriodicExportingMetricReader(exporter)], Resource({"service.name": service}))

    def observe(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call with providers of its own, and return its result once all that they were told has arrived."""
        providers = {"tracer_provider": self.tracer_provider("client"), "meter_provider": self.meter_provider("client")}
        try:
            return act(*arguments, **options, **providers)
        finally:
            for provider in providers.values():
                provider.shutdown()
            self.wait_for(lambda found: {metric.data.name for metric in found.metrics} == {ATTEMPTS, CALLS})
            self.wait_for(lambda found: any(not span.data.parent_span_id for span in found.spans))

    def wait_for(self, predicate: Callable[[Receiver], object]) -> None:
        self._receiver.wait_for(predicate)

    @property
    def spans(self) -> list[Received]:
        return sorted(self._receiver.spans, key=lambda span: span.data.start_time_unix_nano)

    @property
    def everything(self) -> bytes:
        return self._receiver.everything

    def metric(self, name: str) -> Received:
        (metric,) = (metric for metric in self._receiver.metrics if metric.data.name == name)
        return metric


@pytest.fixture
def pipeline(tmp_path):
    with Receiver() as receiver, collecting(receiver, tmp_path) as endpoint:
        yield Pipeline(endpoint, receiver)


def tree(spans: list[Received]) -> list[dict[str, Any]]:
    """Return the roots, each with all that it says and with those below it."""
    below = defaultdict(list)
    for span in spans:
        below[span.data.parent_span_id].append(span.data)

    def shown(span: Any) -> dict[str, Any]:
        return {
            "name": span.name,
            "kind": Span.SpanKind.Name(span.kind),
            "status": (Status.StatusCode.Name(span.status.code), span.status.message),
            "attributes": plain(span.attributes),
            "events": list(span.events),
            "links": list(span.links),
            "below": [shown(child) for child in below[span.span_id]],
        }

    return [shown(root) for root in below[b""]]


def of_kind(spans: list[Received], kind: str) -> list[Received]:
    return [span for span in spans if span.data.kind == Span.SpanKind.Value(f"SPAN_KIND_{kind}")]


def span_of(name: str, kind: str, attributes: dict[str, Any], *below: dict[str, Any], error: bool = False) -> Any:
    """Return a span as `tree` does, with nothing but these."""
    status = ("STATUS_CODE_ERROR" if error else "STATUS_CODE_UNSET", "")
    kind = f"SPAN_KIND_{kind}"
    told = {"name": name, "kind": kind, "status": status, "attributes": attributes}
    return {**told, "events": [], "links": [], "below": list(below)}


@pytest.mark.parametrize("kind", KINDS)
def test_two_retries_are_collected_as_the_documented_tree(pipeline, kind):
    with serving(TWO_RETRIES) as api:
        pipeline.observe(call, kind, execute, api.base_url)
    server = {"server.address": "localhost", "server.port": api.port}
    request = {"http.request.method": "POST", **server, "url.full": f"{api.base_url}/runbooks/execute"}
    version = {"network.protocol.version": "1.1"}
    failure = {"http.response.status_code": 503, "error.type": "503", **version}
    success = {"http.response.status_code": 200, "airplane.request_id": "req1", **version}
    assert tree(pipeline.spans) == [
        span_of(
            "runbooks.execute",
            "INTERNAL",
            {
                "airplane.operation.name": "runbooks.execute",
                **server,
                "airplane.operation.attempts": 3,
                "airplane.session.id": "ses1",
            },
            span_of("POST", "CLIENT", {**request, **failure}, error=True),
            span_of("POST", "CLIENT", {**request, **failure, "http.request.resend_count": 1}, error=True),
            span_of("POST", "CLIENT", {**request, **success, "http.request.resend_count": 2}),
        )
    ]
    assert len({span.data.trace_id for span in pipeline.spans}) == 1
    attempts = [span.data.span_id.hex() for span in of_kind(pipeline.spans, "CLIENT")]
    assert api.parents == attempts


@pytest.mark.parametrize("kind", KINDS)
def test_scope_version_and_schema_arrive_at_the_collector(pipeline, kind):
    with serving(TWO_RETRIES) as api:
        pipeline.observe(call, kind, execute, api.base_url)
    received = [*pipeline.spans, pipeline.metric(ATTEMPTS), pipeline.metric(CALLS)]
    assert len(received) == 6
    # exporters before 1.31 leave the schema of a scope out
    schema_url = SCHEMA_URL if SDK >= (1, 31) else ""
    for one in received:
        assert (one.scope, one.schema_url) == (("airplane_runbooks", __version__), schema_url)
        assert one.resource["service.name"] == "client"


@pytest.mark.parametrize("kind", KINDS)
def test_collected_metrics_have_the_advised_bounds(pipeline, kind):
    with serving(TWO_RETRIES) as api:
        pipeline.observe(call, kind, execute, api.base_url)
    server = {"server.address": "localhost", "server.port": api.port}
    common = {"http.request.method": "POST", **server, "network.protocol.version": "1.1"}
    expected = {
        ATTEMPTS: [
            (1, {**common, "http.response.status_code": 200}),
            (2, {**common, "http.response.status_code": 503, "error.type": "503"}),
        ],
        CALLS: [(1, {"airplane.operation.name": "runbooks.execute", **server})],
    }
    for name, points in expected.items():
        metric = pipeline.metric(name).data
        found = sorted(metric.histogram.data_points, key=lambda point: point.count)
        assert metric.unit == "s"
        assert [(point.count, plain(point.attributes)) for point in found] == points
        assert all(list(point.explicit_bounds) == BOUNDS[name] for point in found)
        assert all(sum(point.bucket_counts) == point.count for point in found)


@pytest.mark.parametrize("kind", KINDS)
def test_exemplars_lead_to_the_spans(pipeline, kind):
    with serving(TWO_RETRIES) as api:
        pipeline.observe(call, kind, execute, api.base_url)
    first, second, third = (span.data for span in of_kind(pipeline.spans, "CLIENT"))
    (whole,) = (span.data for span in of_kind(pipeline.spans, "INTERNAL"))
    (call_point,) = pipeline.metric(CALLS).data.histogram.data_points
    success, failure = sorted(pipeline.metric(ATTEMPTS).data.histogram.data_points, key=lambda point: point.count)
    for point, spans in [(success, [third]), (failure, [first, second]), (call_point, [whole])]:
        exemplars = {(one.trace_id, one.span_id) for one in point.exemplars}
        # a bucket keeps one exemplar, so two attempts that took equally long have one between them
        assert exemplars
        assert exemplars <= {(span.trace_id, span.span_id) for span in spans}


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_is_nowhere_even_if_the_server_repeats_it(pipeline, kind):
    indiscreet = reply(
        b'{"error":"unknown key %s"}' % KEY.encode(),
        status="401 Unauthorized",
        headers=b"x-request-id: %s\r\n" % KEY.encode(),
    )
    with serving([indiscreet]) as api, pytest.raises(Unauthorized):
        pipeline.observe(call, kind, execute, api.base_url)
    assert KEY.encode() in api.requests[0]
    assert b"unknown key" in pipeline.everything
    assert KEY.encode() not in pipeline.everything


def find(customer: str) -> str:
    return customer


@runbook
def refund(context: Context, customer: str) -> str:
    """Find and ask."""
    found = context.step(find, customer)
    context.prompt("Go on?", go=bool)
    return found


def follow(airplane: Any) -> Any:
    """Execute it, agree, and wait for the end."""
    return airplane.runbooks.execute_and_wait(
        "refund",
        param_values={"customer": "ada"},
        on_prompt=lambda prompt, schema: {"go": True},
        wait_timeout=60,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_session_is_one_trace_of_client_and_server(pipeline, kind):
    of_server = pipeline.tracer_provider("server")
    with RunbookServer([refund], api_key=KEY, tracer_provider=of_server) as server:
        session = pipeline.observe(call, kind, follow, server.base_url)
    of_server.shutdown()
    pipeline.wait_for(lambda found: "session refund" in {span.data.name for span in found.spans})
    pipeline.wait_for(lambda found: len(of_kind(found.spans, "SERVER")) == len(of_kind(found.spans, "CLIENT")))
    spans = {span.data.span_id: span for span in pipeline.spans}

    def path(span: Received) -> list[str]:
        parent = span.data.parent_span_id
        return [*(path(spans[parent]) if parent else []), span.data.name]

    start = ["runbooks.execute_and_wait", "POST", "POST /v0/runbooks/execute", "start refund"]
    assert session.status == "Succeeded"
    assert len({span.data.trace_id for span in spans.values()}) == 1
    assert [path(span) for span in spans.values() if not span.data.parent_span_id] == [start[:1]]
    for name in ("step find", "prompt", "session refund"):
        assert [path(span) for span in spans.values() if span.data.name == name] == [[*start, name]]
    answered = [span.data.parent_span_id for span in of_kind(pipeline.spans, "SERVER")]
    assert sorted(answered) == sorted(span.data.span_id for span in of_kind(pipeline.spans, "CLIENT"))
    assert {(span.scope[0], span.resource["service.name"]) for span in spans.values()} == {
        ("airplane_runbooks", "client"),
        ("airplane_runbooks.server", "server"),
    }
