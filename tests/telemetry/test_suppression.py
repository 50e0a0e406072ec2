"""Suppression of other instrumentation. The numbers are those of the promises in docs/reference/telemetry.md."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, NoOpTracerProvider, SpanContext, TraceFlags

from airplane_runbooks import Next, Request, Response
from airplane_runbooks.testing import FakeTransport
from tests.support.observed import ATTEMPTS, OK, Make
from tests.telemetry.test_propagation import attached

HTTP, ALL = context._SUPPRESS_HTTP_INSTRUMENTATION_KEY, context._SUPPRESS_INSTRUMENTATION_KEY


@pytest.mark.parametrize(
    ("options", "is_silent"),
    [({}, True), ({"suppress_http_instrumentation": False}, False), ({"tracer_provider": NoOpTracerProvider()}, False)],
)
def test_others_are_silent_around_the_transport_alone(make: Make, options: Any, is_silent: bool) -> None:
    asked: dict[str, bool] = {}

    def answer(request: Request) -> Response:
        asked["transport"] = bool(context.get_value(HTTP))
        return OK

    async def look(request: Request, call_next: Next, /) -> Response:
        asked["middleware"] = bool(context.get_value(HTTP))
        return await call_next(request)

    def key() -> str:
        asked["key"] = bool(context.get_value(HTTP))
        return "tkn_test"

    make(FakeTransport(answer), api_key=key, attempt_middleware=[look], **options).execute()
    assert asked == {"middleware": False, "key": False, "transport": is_silent}
    assert context.get_value(HTTP) is None


def test_we_are_silent_where_all_instrumentation_is(make: Make) -> None:
    seen = make()
    parent = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with attached(context.set_value(ALL, True, trace.set_span_in_context(NonRecordingSpan(parent)))):
        seen.execute()
    assert seen.spans == ()
    assert seen.sent[0][2] == f"{0xB2:016x}"
    assert [point.count for point in seen.points(ATTEMPTS)] == [1]
