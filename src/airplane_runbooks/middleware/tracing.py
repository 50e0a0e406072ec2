"""Spans and metrics, by the OpenTelemetry API alone.

One INTERNAL span for each call and, below it, one CLIENT span for each attempt, following the stable HTTP conventions
(schema 1.44.0). An attempt's own context goes out as `traceparent`. Without an SDK and without a trace to pass on, a
call costs one lookup of the current context and one span that is never made current.
"""

from __future__ import annotations

import logging
from contextvars import Token
from time import perf_counter
from urllib.parse import parse_qsl, urlencode

from opentelemetry import context as otel_context
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.trace import Span, SpanKind, StatusCode

from ..errors import AirplaneError
from ..http import Request, Response
from ..pipeline import Next
from ..replies import request_id

SCOPE = "airplane_runbooks"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
CALL_BUCKETS = (*ATTEMPT_BUCKETS, 30, 60, 120)

_SENSITIVE_QUERY = frozenset(
    {"AWSAccessKeyId", "Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature"}
    | {"X-Goog-Signature", "sig"}
)
_MAX_DESCRIPTION = 250

# Private names of the API that all instrumentations share, so that each can tell the others to be silent. Should they
# go, nobody listens under the names that stand in for them, and nothing is suppressed.
_SUPPRESS_HTTP: str = getattr(otel_context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress-http")
_SUPPRESS_ALL: str = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress")

logger = logging.getLogger(SCOPE)


_Attributes = dict[str, str | int]

# What came of an attempt: status, HTTP version, error type.
_Result = tuple[int | None, str | None, str | None]


class Telemetry:
    """What the calls of one client share: tracer, instruments, and the attributes that never change.

    The providers may be set after the client has been built: the API's proxies find them then.
    """

    def __init__(
        self,
        *,
        version: str,
        server_address: str,
        server_port: int,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        self.tracer = trace.get_tracer(SCOPE, version, tracer_provider, SCHEMA_URL)
        self.propagator = propagator
        self.server: _Attributes = {"server.address": server_address, "server.port": server_port}
        meter = metrics.get_meter(SCOPE, version, meter_provider, SCHEMA_URL)
        self.call_duration = meter.create_histogram(
            "airplane.client.operation.duration",
            unit="s",
            description="Duration of calls, all attempts and waits included.",
            explicit_bucket_boundaries_advisory=CALL_BUCKETS,
        )
        self.attempt_duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=ATTEMPT_BUCKETS,
        )
        self._call_attributes: dict[str, _Attributes] = {}
        self._attempt_attributes: dict[tuple[str, _Result], tuple[_Attributes, _Attributes]] = {}

    def call_attributes(self, operation: str) -> _Attributes:
        """Return the attributes of an operation, built once."""
        attributes = self._call_attributes.get(operation)
        if attributes is None:
            attributes = {"airplane.operation.name": operation, **self.server}
            self._call_attributes[operation] = attributes
        return attributes

    def attempt_attributes(self, method: str, result: _Result) -> tuple[_Attributes, _Attributes]:
        """Return the attributes of an attempt's metric, and those of them that tell its result; built once for each."""
        pair = self._attempt_attributes.get((method, result))
        if pair is None:
            keys = ("http.response.status_code", "network.protocol.version", "error.type")
            of_result = {key: value for key, value in zip(keys, result, strict=True) if value is not None}
            pair = ({"http.request.method": method, **self.server, **of_result}, of_result)
            self._attempt_attributes[method, result] = pair
        return pair

    def inject(self, carrier: dict[str, str], context: Context) -> None:
        """Write the context into headers."""
        if self.propagator is None:
            propagate.inject(carrier, context, _LOWER_CASE)
        else:
            self.propagator.inject(carrier, context, _LOWER_CASE)


class _LowerCase(Setter[dict[str, str]]):
    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key.lower()] = value


_LOWER_CASE = _LowerCase()


class CallSpan:
    """The span of one operation, from before its arguments are encoded until its last reply has been decoded."""

    __slots__ = ("_active", "_attributes", "_started", "_telemetry")

    def __init__(self, telemetry: Telemetry, operation: str) -> None:
        current = otel_context.get_current()
        self._telemetry = telemetry
        self._attributes = telemetry.call_attributes(operation)
        self._active: tuple[Span, Token[Context]] | None = None
        if not current.get(_SUPPRESS_ALL):
            span = telemetry.tracer.start_span(
                operation, current, SpanKind.INTERNAL, self._attributes, record_exception=False
            )
            # API versions before 1.40 hand out an invalid span where there is no SDK, later ones the parent itself;
            # making either current would lose or repeat the caller's trace.
            if span.get_span_context().is_valid and span is not trace.get_current_span(current):
                self._active = span, otel_context.attach(trace.set_span_in_context(span, current))
        self._started = perf_counter()

    def end(self, attempts: int, failure: BaseException | None, session_id: object = None) -> None:
        """Record how the call ended. What is no Exception is a cancellation, and that is not an error."""
        elapsed = perf_counter() - self._started
        attributes = self._attributes
        if isinstance(failure, Exception):
            attributes = {**attributes, "error.type": type_name(failure)}
        self._telemetry.call_duration.record(elapsed, attributes)
        if self._active is None:
            return
        span, token = self._active
        otel_context.detach(token)
        if span.is_recording():
            span.set_attribute("airplane.operation.attempts", attempts)
            if isinstance(session_id, str):
                span.set_attribute("airplane.session.id", session_id)
            if isinstance(failure, Exception):
                span.set_attribute("error.type", type_name(failure))
                span.set_status(StatusCode.ERROR, _description(failure))
        span.end()


def type_name(failure: Exception) -> str:
    """Return the full name of an exception's class, the value of `error.type` where no status explains it."""
    return f"{type(failure).__module__}.{type(failure).__qualname__}"


def _description(failure: Exception) -> str | None:
    """Only our own messages are known to hold no secret."""
    return str(failure)[:_MAX_DESCRIPTION] if isinstance(failure, AirplaneError) else None


class AttemptSpan:
    """Trace and count one attempt, and send its context along. Innermost of the chain."""

    def __init__(self, telemetry: Telemetry, *, suppress_http_instrumentation: bool = True) -> None:
        self._telemetry = telemetry
        self._suppress = suppress_http_instrumentation

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Send the request under a span of its own, if anybody looks at it."""
        current = otel_context.get_current()
        if not current:
            return await self._timed(request, call_next, None, current)
        span: Span | None = None
        if not current.get(_SUPPRESS_ALL):
            span = self._start(request, current)
        context = current if span is None else trace.set_span_in_context(span, current)
        carrier: dict[str, str] = {}
        self._telemetry.inject(carrier, context)
        if carrier:
            request = request.with_headers(request.headers.merged(carrier))
        if span is None:
            return await self._timed(request, call_next, None, context)
        if self._suppress:
            context = otel_context.set_value(_SUPPRESS_HTTP, value=True, context=context)
        token = otel_context.attach(context)
        try:
            return await self._timed(request, call_next, span, context)
        finally:
            otel_context.detach(token)
            span.end()

    def _start(self, request: Request, current: Context) -> Span | None:
        attributes: _Attributes = {"http.request.method": request.method, **self._telemetry.server}
        if trace.get_current_span(current).is_recording():
            attributes["url.full"] = redact_url(request.url)
        if request.call.attempts:
            attributes["http.request.resend_count"] = request.call.attempts
        span = self._telemetry.tracer.start_span(
            request.method, current, SpanKind.CLIENT, attributes, record_exception=False
        )
        is_ours = span.get_span_context().is_valid and span is not trace.get_current_span(current)
        return span if is_ours else None

    async def _timed(self, request: Request, call_next: Next, span: Span | None, context: Context) -> Response:
        started = perf_counter()
        try:
            response = await call_next(request)
        except Exception as failure:
            elapsed = perf_counter() - started
            result = (getattr(failure, "status", None), None, type_name(failure))
            self._record(elapsed, request.method, span, context, result)
            raise
        elapsed = perf_counter() - started
        error = str(response.status) if response.status >= 400 else None
        self._record(elapsed, request.method, span, context, (response.status, response.http_version, error))
        if span is not None and span.is_recording() and (server_id := request_id(response.headers)) is not None:
            redact = request.call.redact
            span.set_attribute("airplane.request_id", redact(server_id.encode()).decode() if redact else server_id)
        return response

    def _record(self, elapsed: float, method: str, span: Span | None, context: Context, result: _Result) -> None:
        """Tell metrics and span the same: how long it took, and what came of it."""
        attributes, of_result = self._telemetry.attempt_attributes(method, result)
        self._telemetry.attempt_duration.record(elapsed, attributes, context)
        if span is not None and span.is_recording():
            span.set_attributes(of_result)
            if "error.type" in of_result:
                span.set_status(StatusCode.ERROR)


def redact_url(url: str) -> str:
    """Blot out the values of query parameters that are known to hold signatures or credentials."""
    base, mark, query = url.partition("?")
    if not mark or _SENSITIVE_QUERY.isdisjoint(pair.partition("=")[0] for pair in query.split("&")):
        return url
    pairs = parse_qsl(query, keep_blank_values=True)
    return f"{base}?{urlencode([(key, 'REDACTED' if key in _SENSITIVE_QUERY else value) for key, value in pairs])}"
