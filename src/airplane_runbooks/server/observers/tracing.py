"""Spans of the server. It needs the OpenTelemetry API alone.

A session outlives the processes that execute it, so no span stays open for it. The start of a session is a span of its
own, below the client's. Its context is stored with the session, and all later spans stand below it, in any process:

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
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from datetime import datetime

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ...models import RunStatus
from ...telemetry.guard import Guard
from ...telemetry.spans import SCHEMA_URL
from ...version import __version__
from .. import events
from ..errors import ApiError
from ..logs import class_name

logger = logging.getLogger(__name__)

SCOPE = "airplane_runbooks.server"

_STORED = TraceContextTextMapPropagator()

_OUTCOMES: dict[type[events.Event], str] = {
    events.PromptAnswered: "submitted",
    events.PromptCancelled: "cancelled",
    events.PromptExpired: "expired",
}

Attributes = dict[str, str | int]


class _Headers(Getter[Mapping[str, str]]):
    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key.lower())
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


_HEADERS = _Headers()
_REQUEST: ContextVar[Span] = ContextVar("request", default=trace.INVALID_SPAN)


class Tracing:
    """The observer that makes the spans.

    The provider may be set after the server has been built: the proxy of OpenTelemetry's API finds it then. Exceptions
    of providers, samplers, processors and propagators are logged once, and change no result.
    """

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, propagator: TextMapPropagator | None = None
    ) -> None:
        self._guard = Guard(logger)
        self._tracer: trace.Tracer = trace.NoOpTracer()
        with self._guard:
            self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider, SCHEMA_URL)
        self._propagator = propagator

    def observe(self, event: events.Event, /) -> None:
        """Make the spans of what has ended."""
        match event:
            case events.RequestAnswered():
                self._answered(event.status)
            case events.PromptClosed():
                self._prompt_closed(event)
            case events.SessionEnded() | events.TaskEnded():
                self._ended(event)
            case _:
                pass

    def enclose(self, event: events.EnclosingEvent, /) -> AbstractContextManager[None] | None:
        """Return a context manager that makes a span the current one, for requests and attempts.

        The start of a session or task is a span that ends at once. Its trace context goes into the event's carrier.
        """
        match event:
            case events.RequestReceived():
                parent = self._extracted(event.headers)
                attributes: Attributes = {
                    "http.request.method": event.method,
                    "http.route": event.route,
                    "url.path": event.route,
                }
                span = self._start(f"{event.method} {event.route}", parent, attributes, kind=SpanKind.SERVER)
                return _CurrentRequest(span, parent, self._guard)
            case events.AttemptStarted():
                parent = _stored(event.root)
                attributes = {
                    "airplane.run.id": event.run_id,
                    f"airplane.{event.kind}.slug": event.slug,
                    **_session(event.root),
                    "airplane.attempt": event.attempt,
                }
                return _Current(self._start(f"{event.kind} {event.slug}", parent, attributes), parent, self._guard)
            case events.RunStarting():
                here = otel_context.get_current()
                span = self._start(f"start {event.root.slug}", here, _of(event.root))
                self._end(span)
                with self._guard:
                    _STORED.inject(event.carrier, _within(span, here))
                return None
            case _:
                return None

    def _answered(self, status: int) -> None:
        """Record a request's status; only the server's own faults are errors."""
        span = _REQUEST.get()
        with self._guard:
            if span.is_recording():
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
                    span.set_status(StatusCode.ERROR)

    def _prompt_closed(self, event: events.PromptClosed) -> None:
        """Trace a prompt, from the question to the end of the wait, with a link to the span that ended it."""
        attributes: Attributes = {
            **_of(event.root),
            "airplane.run.id": event.run_id,
            "airplane.prompt.id": event.prompt_id,
            "airplane.prompt.outcome": _OUTCOMES[type(event)],
        }
        links: list[Link] = []
        with self._guard:
            answer = trace.get_current_span().get_span_context()
            links = [Link(answer)] if answer.is_valid else []
        span = self._start("prompt", _stored(event.root), attributes, links=links, since=event.opened_at)
        self._end(span, _nanoseconds(event.at))

    def _ended(self, event: events.SessionEnded | events.TaskEnded) -> None:
        """Trace a session or task as a whole."""
        name = "session" if isinstance(event, events.SessionEnded) else "task"
        attributes: Attributes = {**_of(event.root), "airplane.run.status": event.status.value}
        span = self._start(f"{name} {event.root.slug}", _stored(event.root), attributes, since=event.started_at)
        if event.status is RunStatus.FAILED:
            with self._guard:
                _fail(span, event.error or "_OTHER")
        self._end(span)

    def _extracted(self, headers: Mapping[str, str]) -> Context:
        with self._guard:
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
        with self._guard:
            start = None if since is None else _nanoseconds(since)
            span = self._tracer.start_span(name, parent, kind, attributes, links, start)
            if isinstance(span, Span):
                return span
            raise TypeError("a tracer has to return a span")
        return trace.INVALID_SPAN

    def _end(self, span: Span, moment: int | None = None) -> None:
        with self._guard:
            span.end(moment)


class _Current:
    """Makes a span the current one, and ends it. A class, since a generator inspects exceptions, which some refuse."""

    refusals: tuple[type[Exception], ...] = ()  # exceptions that do not mark the span as failed

    def __init__(self, span: Span, parent: Context, guard: Guard) -> None:
        self._span = span
        self._parent = parent
        self._guard = guard
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        with self._guard:
            self._token = otel_context.attach(_within(self._span, self._parent))

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        if kind is not None and not issubclass(kind, self.refusals):
            with self._guard:
                _fail(self._span, class_name(kind))
        if self._token is not None:
            with self._guard:
                otel_context.detach(self._token)
        with self._guard:
            self._span.end()


class _CurrentRequest(_Current):
    """The same for the span of a request, which `observe` finds again."""

    refusals = (ApiError,)

    def __enter__(self) -> None:
        self._request = _REQUEST.set(self._span)
        super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        _REQUEST.reset(self._request)
        super().__exit__(kind, problem, trace)


def _fail(span: Span, kind: str) -> None:
    if span.is_recording():
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)


def _within(span: Span, context: Context) -> Context:
    # API versions before 1.40 hand out an invalid span where there is no SDK; it must not take the trace's place
    return trace.set_span_in_context(span, context) if span.get_span_context().is_valid else context


def _stored(root: events.Root) -> Context:
    """Return the trace context that is stored with a root run; an empty one if there is none."""
    return _STORED.extract(dict(root.trace_context), Context())


def _of(root: events.Root) -> Attributes:
    return {"airplane.run.id": root.run_id, f"airplane.{root.kind}.slug": root.slug, **_session(root)}


def _session(root: events.Root) -> Attributes:
    return {} if root.session_id is None else {"airplane.session.id": root.session_id}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
