"""The span and the metric of each attempt."""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import Token
from time import perf_counter
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from .._responses.reading import applied_wait, request_id
from .._responses.redaction import redactor_of
from ..errors import TransportError
from ..http import Request, Response
from ..telemetry.attributes import Result, shown_url, without_credentials
from ..telemetry.client import ClientTelemetry
from ..telemetry.extra import read
from ..telemetry.guard import type_name
from ..telemetry.spans import SUPPRESS_HTTP
from ..telemetry.values import Value
from .interface import Next

_CLIENT = SpanKind.CLIENT  # looking up a member of an enumeration takes time


class _Traced(NamedTuple):
    """An attempt in progress: the request with its trace headers, the context, and the span if there is one.

    The context is attached if the attempt is traced, by its span or, where that would be dropped, by its parent alone.
    """

    request: Request
    context: Context
    span: Span | None
    token: Token[Context] | None


class AttemptSpan:
    """Trace and measure each attempt, and send its trace context along. The innermost layer of the chain."""

    def __init__(self, telemetry: ClientTelemetry, *, suppress_http_instrumentation: bool = True) -> None:
        self._telemetry = telemetry
        self._suppress = suppress_http_instrumentation

    def __call__(self, request: Request, call_next: Next, /) -> Awaitable[Response]:
        """Send the request under a span of its own, if there is a tracer."""
        current = otel_context.get_current()
        if not current and self._telemetry.is_idle():
            return call_next(request)
        return self._measured(request, call_next, current)

    async def _measured(self, request: Request, call_next: Next, current: Context) -> Response:
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
        telemetry, parent = self._telemetry, trace.get_current_span(current)
        is_dropped = telemetry.tracer.drops_below(parent)
        span = None if is_dropped else self._start(request, current, parent)
        context = current if span is None else trace.set_span_in_context(span, current)
        if request.origin == telemetry.origin and (headers := telemetry.tracer.headers(context)):
            request = request.with_headers(request.headers.merged(headers))
        if span is None and not is_dropped:
            return _Traced(request, context, None, None)
        if self._suppress:
            context = otel_context.set_value(SUPPRESS_HTTP, value=True, context=context)
        return _Traced(request, context, span, otel_context.attach(context))

    def _start(self, request: Request, current: Context, parent: Span) -> Span | None:
        telemetry, extra = self._telemetry, self._telemetry.extra
        attributes: dict[str, Value] = {"http.request.method": request.method, **telemetry.server.of(request.origin)}
        is_wanted = telemetry.tracer.records(parent)
        if is_wanted:
            attributes.update(_details(request, telemetry))
        call = request.call
        if call.attempts:
            attributes["http.request.resend_count"] = call.attempts
        if call.long_poll is not None:
            attributes["airplane.wait"] = call.long_poll
        name = f"{request.method} {request.path}" if extra.template else request.method
        span = telemetry.tracer.start(name, current, _CLIENT, attributes, parent)
        if span is not None and not is_wanted and telemetry.tracer.records(span):
            span.set_attributes(_details(request, telemetry))
        return span

    def _end(
        self, request: Request, traced: _Traced | None, elapsed: float, result: Result, response: Response | None = None
    ) -> None:
        """Record the duration and the result of the attempt, in the metric and the span alike.

        The metric leaves long polls out: their duration is the time until something changed.
        """
        telemetry = self._telemetry
        template = request.path if telemetry.extra.template else None
        attributes, of_result = telemetry.attempts[request.method, request.origin, template, result]
        context = None if traced is None else traced.context
        if request.call.long_poll is None or not _was_held(request.call.long_poll, result, response):
            telemetry.durations.record_attempt(elapsed, attributes, context)
        if traced is None or traced.token is None:
            return
        otel_context.detach(traced.token)
        if traced.span is None:
            return
        if not telemetry.tracer.records(traced.span):
            found = None
        elif response is None:
            found = of_result
        else:
            found = {**of_result, **_found(request, response, telemetry)}
        telemetry.tracer.end(traced.span, found, failed=result[2] is not None)


def _was_held(wait: int, result: Result, response: Response | None) -> bool:
    """Tell whether the duration of a long poll is mostly that of the server's wait.

    It is not if the server has ignored the wait, or if the attempt has failed: failures have points of their own.
    """
    if response is not None:
        return applied_wait(response.headers, wait) is not None
    return result[2] is None


def _result_of(failure: BaseException) -> Result:
    """Describe an attempt without a response. A cancellation is not an error."""
    status = failure.status if isinstance(failure, TransportError) else None
    return status, None, type_name(failure) if isinstance(failure, Exception) else None


def _details(request: Request, telemetry: ClientTelemetry) -> dict[str, Value]:
    """Return the attributes that are only computed for a span that is recorded."""
    redactor = redactor_of(request.call.sent)
    found: dict[str, Value] = {"url.full": shown_url(request.url, redactor)}
    if readers := telemetry.extra.of_request:
        found |= without_credentials(redactor, read(readers, request))
    return found


def _found(request: Request, response: Response, telemetry: ClientTelemetry) -> dict[str, Value]:
    """Return the attributes of a response that are only computed for a span that is recorded."""
    redactor = redactor_of(request.call.sent)
    found = without_credentials(redactor, read(readers, response)) if (readers := telemetry.extra.of_response) else {}
    if (server_id := request_id(response.headers)) is not None:
        found["airplane.request_id"] = redactor.text(server_id)
    return found
