"""Spans and trace headers: a tracer whose components may raise without any effect on the caller."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from .guard import Guard
from .values import Attributes

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# All instrumentations share these private names of the API, by which each can silence the others. If OpenTelemetry
# removes them, the fallback keys have no effect.
SUPPRESS_HTTP: str = getattr(otel_context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress-http")
_SUPPRESS_ALL: str = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress")


class Tracer:
    """Starts and ends spans, and writes trace headers.

    The provider may be set after the tracer has been made: the API's proxy finds it then. Exceptions of providers,
    samplers, processors and propagators are suppressed by the guard.
    """

    def __init__(
        self,
        scope: str,
        version: str,
        guard: Guard,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        self._guard = guard
        self._propagator = propagator
        self._tracer = trace.get_tracer(scope, version, tracer_provider, SCHEMA_URL)

    @property
    def is_proxy(self) -> bool:
        """True until a provider has been given, or set for the process."""
        return isinstance(self._tracer, trace.ProxyTracer)

    def start(
        self,
        name: str,
        context: Context,
        kind: SpanKind,
        attributes: Attributes,
        *,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
    ) -> Span | None:
        """Start a span below that of a context; None if tracing is suppressed, fails, or has no SDK.

        Without an SDK, API versions before 1.40 return an invalid span, later ones the parent itself or a copy. To make
        any of these current would lose or repeat the caller's trace.
        """
        if context.get(_SUPPRESS_ALL):
            return None
        with self._guard:
            span = self._tracer.start_span(name, context, kind, attributes, links, start_time)
            if span is trace.INVALID_SPAN:
                return None
            made, parent = span.get_span_context(), trace.get_current_span(context).get_span_context()
            return span if made.is_valid and made.span_id != parent.span_id else None
        return None

    def end(
        self,
        span: Span,
        attributes: Attributes,
        *,
        failed: bool,
        description: str | None = None,
        end_time: int | None = None,
    ) -> None:
        """End a span with the attributes of its result."""
        with self._guard:
            try:
                if span.is_recording():
                    span.set_attributes(attributes)
                    if failed:
                        span.set_status(StatusCode.ERROR, description)
            finally:
                span.end(end_time)

    def headers(self, context: Context) -> dict[str, str]:
        """Return the headers that carry a trace context to the next process."""
        carrier: dict[str, str] = {}
        with self._guard:
            if self._propagator is None:
                propagate.inject(carrier, context, _LOWER_CASE)
            else:
                self._propagator.inject(carrier, context, _LOWER_CASE)
        return carrier


class _LowerCase(Setter[dict[str, str]]):
    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key.lower()] = value


_LOWER_CASE = _LowerCase()
