"""Spans and metrics of calls and attempts: one INTERNAL span for each call and, below it, one CLIENT span per attempt.

Without an SDK, a call looks twice whether there is one, and for a trace to pass on.
"""

from __future__ import annotations

from contextvars import Token
from time import perf_counter
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from .._call.pipeline import Next
from .._call.replies import request_id
from ..errors import AirplaneError, TransportError
from ..http import Headers, Request, Response
from .attributes import read
from .guard import type_name
from .instruments import (
    SUPPRESS_HTTP,
    Attributes,
    Result,
    Telemetry,
    redact_url,
    without_credentials,
)

_MAX_DESCRIPTION = 250
_CALL, _ATTEMPT = SpanKind.INTERNAL, SpanKind.CLIENT  # looking up a member of an enumeration takes its time


class Unwatched:
    """The span of an operation that nobody looks at."""

    def end(
        self,
        attempts: int,
        failure: BaseException | None,
        session_id: object = None,
        sent: tuple[Headers, ...] = (),
    ) -> None:
        """Do nothing."""


_UNWATCHED = Unwatched()


def begin_call(telemetry: Telemetry, operation: str) -> CallSpan | Unwatched:
    """Begin the span of an operation."""
    return _UNWATCHED if telemetry.is_idle() else CallSpan(telemetry, operation)


class CallSpan:
    """The span of one operation, from before its arguments are encoded until its last reply has been decoded."""

    __slots__ = ("_attributes", "_span", "_started", "_telemetry", "_token")

    def __init__(self, telemetry: Telemetry, operation: str) -> None:
        current = otel_context.get_current()
        self._telemetry = telemetry
        self._attributes = telemetry.calls[operation]
        span = self._span = telemetry.start(operation, current, _CALL, self._attributes)
        self._token = None if span is None else otel_context.attach(trace.set_span_in_context(span, current))
        self._started = perf_counter()

    def end(
        self,
        attempts: int,
        failure: BaseException | None,
        session_id: object = None,
        sent: tuple[Headers, ...] = (),
    ) -> None:
        """Record how the call ended, and with which session; the credentials in the headers that were sent are masked.

        What is no Exception is a cancellation, and that is not an error.
        """
        elapsed = perf_counter() - self._started
        telemetry, attributes = self._telemetry, self._attributes
        of_result: Attributes = {}
        if isinstance(failure, Exception):
            of_result["error.type"] = type_name(failure)
            attributes = attributes | of_result
        telemetry.record(telemetry.call_duration, elapsed, attributes)
        if self._span is None or self._token is None:
            return
        otel_context.detach(self._token)
        of_result["airplane.operation.attempts"] = attempts
        if isinstance(session_id, str):
            of_result |= without_credentials(sent, {"airplane.session.id": session_id})
        telemetry.end(self._span, of_result, failed=isinstance(failure, Exception), description=_description(failure))


def _description(failure: BaseException | None) -> str | None:
    """Only our own messages are known to hold no secret."""
    return str(failure)[:_MAX_DESCRIPTION] if isinstance(failure, AirplaneError) else None


class _Traced(NamedTuple):
    """An attempt on its way: the request as it goes out, in which context, and its span if it has one."""

    request: Request
    context: Context
    span: Span | None
    token: Token[Context] | None


class AttemptSpan:
    """Trace and count one attempt, and send its context along. Innermost of the chain."""

    def __init__(self, telemetry: Telemetry, *, suppress_http_instrumentation: bool = True) -> None:
        self._telemetry = telemetry
        self._suppress = suppress_http_instrumentation

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Send the request under a span of its own, if anybody looks at it."""
        current = otel_context.get_current()
        if not current and self._telemetry.is_idle():
            return await call_next(request)
        traced = self._begin(request, current) if current else None
        started = perf_counter()
        try:
            response = await call_next(request if traced is None else traced.request)
        except BaseException as failure:
            elapsed = perf_counter() - started
            self._end(request, traced, elapsed, _result_of(failure))
            raise
        elapsed = perf_counter() - started
        status = response.status
        result = (status, response.http_version, None if status < 400 else str(status))
        self._end(request, traced, elapsed, result, response)
        return response

    def _begin(self, request: Request, current: Context) -> _Traced:
        telemetry = self._telemetry
        span = self._start(request, current)
        context = current if span is None else trace.set_span_in_context(span, current)
        if request.origin == telemetry.origin and (headers := telemetry.headers(context)):
            request = request.with_headers(request.headers.merged(headers))
        if span is None:
            return _Traced(request, context, None, None)
        if self._suppress:
            context = otel_context.set_value(SUPPRESS_HTTP, value=True, context=context)
        return _Traced(request, context, span, otel_context.attach(context))

    def _start(self, request: Request, current: Context) -> Span | None:
        telemetry, opt_in = self._telemetry, self._telemetry.opt_in
        attributes: Attributes = {"http.request.method": request.method, **telemetry.server(request.origin)}
        is_wanted = trace.get_current_span(current).is_recording()
        if is_wanted:
            attributes |= _details(request, telemetry)
        if request.call.attempts:
            attributes["http.request.resend_count"] = request.call.attempts
        name = f"{request.method} {request.path}" if opt_in.template else request.method
        span = telemetry.start(name, current, _ATTEMPT, attributes)
        if span is not None and not is_wanted and span.is_recording():
            span.set_attributes(_details(request, telemetry))
        return span

    def _end(
        self, request: Request, traced: _Traced | None, elapsed: float, result: Result, response: Response | None = None
    ) -> None:
        """Tell metrics and span the same: how long it took, and what came of it."""
        telemetry = self._telemetry
        template = request.path if telemetry.opt_in.template else None
        attributes, of_result = telemetry.attempts[request.method, request.origin, template, result]
        context = None if traced is None else traced.context
        telemetry.record(telemetry.attempt_duration, elapsed, attributes, context)
        if traced is None or traced.span is None or traced.token is None:
            return
        otel_context.detach(traced.token)
        if response is not None and traced.span.is_recording():
            of_result = of_result | _found(request, response, telemetry)
        telemetry.end(traced.span, of_result, failed=result[2] is not None)


def _result_of(failure: BaseException) -> Result:
    """Describe an attempt without a response. A cancellation is no error."""
    status = failure.status if isinstance(failure, TransportError) else None
    return status, None, type_name(failure) if isinstance(failure, Exception) else None


def _details(request: Request, telemetry: Telemetry) -> Attributes:
    """Return what is only worth finding out for a span that is recorded."""
    found: Attributes = {"url.full": redact_url(request.url), **read(telemetry.opt_in.of_request, request)}
    return without_credentials(request.call.sent, found)


def _found(request: Request, response: Response, telemetry: Telemetry) -> Attributes:
    found = read(telemetry.opt_in.of_response, response)
    if (server_id := request_id(response.headers)) is not None:
        found["airplane.request_id"] = server_id
    return without_credentials(request.call.sent, found)
