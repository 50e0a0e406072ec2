"""Spans of the server. It needs the OpenTelemetry API alone.

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

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from datetime import datetime

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ...models import RunStatus
from ...telemetry.guard import Guard
from ...version import __version__
from ..errors import ApiError
from ..logs import class_name
from ..storage.records import (
    Outcome,
    Prompt,
    Run,
    RunKind,
)

logger = logging.getLogger(__name__)

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

    def __init__(self, span: Span, mishaps: Guard) -> None:
        self._span = span
        self._mishaps = mishaps

    def answered(self, status: int) -> None:
        """Record the status; only the server's own faults are errors."""
        with self._mishaps:
            if self._span.is_recording():
                self._span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    self._span.set_attribute("error.type", str(status))
                    self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Makes the spans. The provider may be set after the server has been built: the API's proxy finds it then.

    What providers, samplers, processors and propagators raise changes no result: it is logged once.
    """

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, propagator: TextMapPropagator | None = None
    ) -> None:
        self._mishaps = Guard(logger)
        self._tracer: trace.Tracer = trace.NoOpTracer()
        with self._mishaps:
            self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider, SCHEMA_URL)
        self._propagator = propagator

    @contextmanager
    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Generator[Exchange]:
        """Trace the answer to one request, below the trace context that came with it."""
        parent = self._extracted(headers)
        attributes: Attributes = {"http.request.method": method, "http.route": route, "url.path": route}
        span = self._start(f"{method} {route}", parent, attributes, kind=SpanKind.SERVER)
        with _Current(span, parent, self._mishaps, may_raise=(ApiError,)):
            yield Exchange(span, self._mishaps)

    def started(self, run: Run) -> str:
        """Trace the start of a session or task, and return the trace context to keep with it."""
        here = otel_context.get_current()
        span = self._start(f"start {run.slug}", here, _of(run))
        self._end(span)
        carrier: dict[str, str] = {}
        with self._mishaps:
            _KEPT.inject(carrier, _within(span, here))
        return "\n".join(filter(None, (carrier.get("traceparent"), carrier.get("tracestate"))))

    def attempt(self, root: Run, run: Run, number: int) -> AbstractContextManager[None]:
        """Trace one attempt of a step, or of a task (`run` is `root` then); what is called inside stands below it."""
        context = _kept(root)
        attributes: Attributes = {**_of(run), "airplane.attempt": number}
        span = self._start(f"{run.kind.value} {run.slug}", context, attributes)
        return _Current(span, context, self._mishaps)

    def answered(self, root: Run, prompt: Prompt) -> None:
        """Trace a prompt, from the question to the end of the wait, with a link to the span that ended it."""
        ended = prompt.submitted_at or prompt.cancelled_at
        outcome = "submitted" if prompt.submitted_at else "cancelled" if prompt.answered_by else "expired"
        attributes: Attributes = {
            **_of(root),
            "airplane.run.id": prompt.run_id,
            "airplane.prompt.id": prompt.id,
            "airplane.prompt.outcome": outcome,
        }
        links: list[Link] = []
        with self._mishaps:
            answer = trace.get_current_span().get_span_context()
            links = [Link(answer)] if answer.is_valid else []
        span = self._start("prompt", _kept(root), attributes, links=links, since=prompt.created_at)
        self._end(span, None if ended is None else _nanoseconds(ended))

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Trace a session or task as a whole, now that it has ended."""
        name = "session" if run.kind is RunKind.RUNBOOK else "task"
        attributes: Attributes = {**_of(run), "airplane.run.status": outcome.status.value}
        span = self._start(f"{name} {run.slug}", _kept(run), attributes, since=run.created_at)
        if outcome.status is RunStatus.FAILED:
            with self._mishaps:
                _fail(span, "_OTHER" if outcome.failure is None else outcome.failure.kind)
        self._end(span)

    def _extracted(self, headers: Mapping[str, str]) -> Context:
        with self._mishaps:
            found = (self._propagator or propagate.get_global_textmap()).extract(headers, getter=_HEADERS)
            if isinstance(found, Context):
                return found
            raise TypeError("a propagator has to return a context")
        return otel_context.get_current()

    def _start(
        self,
        name: str,
        parent: Context,
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
        since: datetime | None = None,
    ) -> Span:
        """Start a span; one that does nothing, if that fails or no span comes of it."""
        with self._mishaps:
            start = None if since is None else _nanoseconds(since)
            span = self._tracer.start_span(name, parent, kind, attributes, links, start)
            if isinstance(span, Span):
                return span
            raise TypeError("a tracer has to return a span")
        return trace.INVALID_SPAN

    def _end(self, span: Span, moment: int | None = None) -> None:
        with self._mishaps:
            span.end(moment)


class _Current:
    """Makes a span the current one, and ends it. No generator: some exceptions cannot be looked at, as it would."""

    def __init__(
        self, span: Span, parent: Context, mishaps: Guard, may_raise: tuple[type[Exception], ...] = ()
    ) -> None:
        self._span = span
        self._parent = parent
        self._mishaps = mishaps
        self._may_raise = may_raise
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        with self._mishaps:
            self._token = otel_context.attach(_within(self._span, self._parent))

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        if kind is not None and not issubclass(kind, self._may_raise):
            with self._mishaps:
                _fail(self._span, class_name(kind))
        if self._token is not None:
            with self._mishaps:
                otel_context.detach(self._token)
        with self._mishaps:
            self._span.end()


def _fail(span: Span, kind: str) -> None:
    if span.is_recording():
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)


def _within(span: Span, context: Context) -> Context:
    # API versions before 1.40 hand out an invalid span where there is no SDK; it must not take the trace's place
    return trace.set_span_in_context(span, context) if span.get_span_context().is_valid else context


def _kept(run: Run) -> Context:
    """Return the trace context that has been kept with a root run; an empty one where there was none."""
    traceparent, _, tracestate = run.trace_context.partition("\n")
    return _KEPT.extract({"traceparent": traceparent, "tracestate": tracestate}, Context())


def _of(run: Run) -> Attributes:
    attributes: Attributes = {"airplane.run.id": run.id, f"airplane.{run.kind.value}.slug": run.slug}
    if run.session_id is not None:
        attributes["airplane.session.id"] = run.session_id
    return attributes


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
