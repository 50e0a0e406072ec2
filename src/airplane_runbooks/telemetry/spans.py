"""Spans and trace headers: a tracer whose components may raise without any effect on the caller."""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.trace import Span, SpanKind, StatusCode, TraceFlags

from .guard import Guard
from .values import Attributes

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# All instrumentations share these private names of the API, by which each can silence the others. If OpenTelemetry
# removes them, the fallback keys have no effect.
SUPPRESS_HTTP: str = getattr(otel_context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress-http")
_SUPPRESS_ALL: str = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress")
_SAMPLED = int(TraceFlags.SAMPLED)


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
        self._known: object = None  # the tracer that was last asked whether it follows parents
        self._follows = False

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
        parent: Span,
    ) -> Span | None:
        """Start a span below that of a context, which is `parent`; None if tracing is suppressed, fails, or has no SDK.

        Without an SDK, API versions before 1.40 return an invalid span, later ones the parent itself or a copy. To make
        any of these current would lose or repeat the caller's trace.
        """
        if context.get(_SUPPRESS_ALL):
            return None
        try:
            span = self._tracer.start_span(name, context, kind, attributes)
            if span is trace.INVALID_SPAN:
                return None
            made = span.get_span_context()
            is_new = made.span_id != parent.get_span_context().span_id
            return span if made.is_valid and is_new else None
        except Exception as failure:  # noqa: BLE001  # a provider's, sampler's or processor's, of any kind
            self._guard.note(failure)
            return None

    def drops_below(self, parent: Span) -> bool:
        """Tell whether a span below this one is certain to be dropped, as the SDK does below one that is not sampled.

        Most calls of a service that samples few of its traces have such a parent. To start a span takes longer than all
        else that telemetry does for them.
        """
        try:
            above = parent.get_span_context()
            if above.trace_flags & _SAMPLED or above.is_remote or not above.is_valid:
                return False
            tracer = getattr(self._tracer, "_tracer", self._tracer)  # of a proxy
            if tracer is not self._known:
                self._known, self._follows = tracer, _follows_parents(getattr(tracer, "sampler", None))
            return self._follows and getattr(tracer, "_is_enabled", _always)()
        except Exception as failure:  # noqa: BLE001  # a provider's, of any kind
            self._guard.note(failure)
            return False

    def records(self, span: Span) -> bool:
        """Tell whether a span takes attributes: it does not if it is not sampled, or has been ended."""
        try:
            return span.is_recording()
        except Exception as failure:  # noqa: BLE001  # a provider's, of any kind
            self._guard.note(failure)
            return False

    def end(self, span: Span, attributes: Attributes | None, *, failed: bool, description: str | None = None) -> None:
        """End a span with the attributes of its result; None for a span that does not record."""
        try:
            try:
                if attributes is not None:
                    span.set_attributes(attributes)
                    if failed:
                        span.set_status(StatusCode.ERROR, description)
            finally:
                span.end()
        except Exception as failure:  # noqa: BLE001  # a provider's or processor's, of any kind
            self._guard.note(failure)

    def headers(self, context: Context) -> dict[str, str]:
        """Return the headers that carry a trace context to the next process."""
        carrier: dict[str, str] = {}
        try:
            if self._propagator is None:
                propagate.inject(carrier, context, _LOWER_CASE)
            else:
                self._propagator.inject(carrier, context, _LOWER_CASE)
        except Exception as failure:  # noqa: BLE001  # a propagator's, of any kind
            self._guard.note(failure)
        return carrier


class _LowerCase(Setter[dict[str, str]]):
    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key.lower()] = value


_LOWER_CASE = _LowerCase()


def _follows_parents(sampler: Any) -> bool:
    """Tell whether a sampler of the SDK drops all spans below a local one that is not sampled."""
    sampling: Any = sys.modules.get("opentelemetry.sdk.trace.sampling")
    if sampling is None:
        return False
    if getattr(type(sampler), "should_sample", None) is sampling.ParentBased.should_sample:
        sampler = getattr(sampler, "_local_parent_not_sampled", None)
    return sampler is sampling.ALWAYS_OFF


def _always() -> bool:
    return True
