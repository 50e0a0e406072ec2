"""Spans of the server, by the OpenTelemetry API alone.

A session outlives the processes that execute it, so no span stays open for it. What starts a session is a span of its
own, below the client's; its context is kept with the session, and all that happens later stands below it, in whichever
process that may be:

    POST /v0/runbooks/execute       SERVER, below the attempt of the client
      start refund
        step find_invoice           one for each attempt
        prompt                      from the question to the answer, linked to the call that answered
        step issue_refund
        session refund              from the start to the end

Names and attributes hold slugs and IDs; no values, no messages.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..models import RunStatus
from ..version import __version__
from .errors import Refused
from .logs import class_name
from .store.records import Outcome, Prompt, Run, RunKind

SCOPE = "airplane_runbooks.server"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_KEPT = TraceContextTextMapPropagator()

Attributes = dict[str, str | int]


class _Headers(Getter[Mapping[str, str]]):
    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key)
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


_HEADERS = _Headers()


class Exchange:
    """The span of one request, which learns its reply's status."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """Record the status; only the server's own faults are errors."""
        if self._span.is_recording():
            self._span.set_attribute("http.response.status_code", status)
            if status >= 500:
                self._span.set_attribute("error.type", str(status))
                self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Makes the spans. The provider may be set after the server has been built: the API's proxy finds it then."""

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, propagator: TextMapPropagator | None = None
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider, SCHEMA_URL)
        self._propagator = propagator

    @contextmanager
    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Generator[Exchange]:
        """Trace the answer to one request, below the trace context that came with it."""
        propagator = self._propagator or propagate.get_global_textmap()
        parent = propagator.extract(headers, getter=_HEADERS)
        attributes: Attributes = {"http.request.method": method, "http.route": route, "url.path": route}
        span = self._tracer.start_span(f"{method} {route}", parent, SpanKind.SERVER, attributes)
        with _Current(span, parent, may_raise=(Refused,)):
            yield Exchange(span)

    def started(self, run: Run) -> str:
        """Trace the start of a session or task, and return the trace context to keep with it."""
        span = self._tracer.start_span(f"start {run.slug}", attributes=_of(run))
        span.end()
        carrier: dict[str, str] = {}
        _KEPT.inject(carrier, _within(span, otel_context.get_current()))
        return "\n".join(filter(None, (carrier.get("traceparent"), carrier.get("tracestate"))))

    def attempt(self, parent: Run, run: Run, number: int) -> AbstractContextManager[None]:
        """Trace one attempt of a step, or of a task (`run` is `parent` then); what is called inside stands below it."""
        context = _kept(parent)
        attributes: Attributes = {**_of(run), "airplane.attempt": number}
        span = self._tracer.start_span(f"{run.kind.value} {run.slug}", context, attributes=attributes)
        return _Current(span, context)

    def answered(self, parent: Run, prompt: Prompt) -> None:
        """Trace a prompt, from the question to the end of the wait, with a link to the span that ended it."""
        ended = prompt.submitted_at or prompt.cancelled_at
        answer = trace.get_current_span().get_span_context()
        outcome = "submitted" if prompt.submitted_at else "cancelled" if prompt.answered_by else "expired"
        span = self._tracer.start_span(
            "prompt",
            _kept(parent),
            attributes={
                **_of(parent),
                "airplane.run.id": prompt.run_id,
                "airplane.prompt.id": prompt.id,
                "airplane.prompt.outcome": outcome,
            },
            links=[Link(answer)] if answer.is_valid else None,
            start_time=_nanoseconds(prompt.created_at),
        )
        span.end(None if ended is None else _nanoseconds(ended))

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Trace a session or task as a whole, now that it has ended."""
        name = "session" if run.kind is RunKind.RUNBOOK else "task"
        span = self._tracer.start_span(
            f"{name} {run.slug}",
            _kept(run),
            attributes={**_of(run), "airplane.run.status": outcome.status.value},
            start_time=_nanoseconds(run.created_at),
        )
        if outcome.status is RunStatus.FAILED:
            span.set_attribute("error.type", "_OTHER" if outcome.failure is None else outcome.failure.kind)
            span.set_status(StatusCode.ERROR)
        span.end()


class _Current:
    """Makes a span the current one, and ends it. No generator: some exceptions cannot be looked at, as it would."""

    def __init__(self, span: Span, parent: Context, may_raise: tuple[type[Exception], ...] = ()) -> None:
        self._span = span
        self._parent = parent
        self._may_raise = may_raise

    def __enter__(self) -> None:
        self._token = otel_context.attach(_within(self._span, self._parent))

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        if kind is not None and not issubclass(kind, self._may_raise) and self._span.is_recording():
            self._span.set_attribute("error.type", class_name(kind))
            self._span.set_status(StatusCode.ERROR)
        otel_context.detach(self._token)
        self._span.end()


def _within(span: Span, context: Context) -> Context:
    # API versions before 1.40 hand out an invalid span where there is no SDK; it must not take the trace's place
    return trace.set_span_in_context(span, context) if span.get_span_context().is_valid else context


def _kept(run: Run) -> Context:
    """Return the trace context that has been kept with a parent; an empty one where there was none."""
    traceparent, _, tracestate = run.trace_context.partition("\n")
    return _KEPT.extract({"traceparent": traceparent, "tracestate": tracestate}, Context())


def _of(run: Run) -> Attributes:
    attributes: Attributes = {"airplane.run.id": run.id, f"airplane.{run.kind.value}.slug": run.slug}
    if run.session_id is not None:
        attributes["airplane.session.id"] = run.session_id
    return attributes


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
