"""Calls in a trace that is not sampled: the SDK's samplers drop all spans below, so none is started."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON, ParentBased, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from airplane_runbooks import Request, Response
from airplane_runbooks.testing import FakeTransport
from tests.support.observed import ATTEMPTS, CALLS, OK, UNAVAILABLE, Make
from tests.telemetry.test_propagation import attached

TRACE, PARENT = 0xA1, 0xB2
HTTP = context._SUPPRESS_HTTP_INSTRUMENTATION_KEY


class Contrary(ParentBased):
    """A sampler that follows no parent."""

    def should_sample(self, *args: Any, **keywords: Any) -> Any:
        return ALWAYS_ON.should_sample(*args, **keywords)


def below(span: trace.Span | None = None, *, remote: bool = False, sampled: bool = False) -> Any:
    """Make a span current, by default one that this process has not sampled."""
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    made = span or NonRecordingSpan(SpanContext(TRACE, PARENT, is_remote=remote, trace_flags=flags))
    return attached(trace.set_span_in_context(made))


@pytest.mark.parametrize("sampler", [DEFAULT_ON, DEFAULT_OFF, ALWAYS_OFF, ParentBased(ALWAYS_ON)])
def test_an_unsampled_trace_goes_on_without_spans_of_ours(make: Make, sampler: Sampler) -> None:
    seen = make([UNAVAILABLE, OK], sampler=sampler)
    with below():
        seen.execute()
    assert seen.spans == ()
    assert seen.sent == [["00", f"{TRACE:032x}", f"{PARENT:016x}", "00"]] * 2
    assert [point.count for point in seen.points(CALLS)] == [1]
    assert seen.counts(ATTEMPTS, "http.response.status_code") == {503: 1, 200: 1}


def test_the_attempts_of_an_unsampled_call_continue_its_trace(make: Make) -> None:
    seen = make([UNAVAILABLE, OK], sampler=DEFAULT_OFF)
    seen.execute()
    assert seen.spans == ()
    assert len({tuple(parts) for parts in seen.sent}) == 1


@pytest.mark.parametrize(
    "sampler", [ALWAYS_ON, Contrary(ALWAYS_OFF), ParentBased(ALWAYS_OFF, local_parent_not_sampled=ALWAYS_ON)]
)
def test_a_sampler_that_may_take_such_spans_is_asked(make: Make, sampler: Sampler) -> None:
    seen = make(sampler=sampler)
    with below():
        seen.execute()
    assert [span.kind for span in seen.spans] == [SpanKind.CLIENT, SpanKind.INTERNAL]


def test_a_sampler_is_asked_about_a_remote_parent(make: Make) -> None:
    seen = make(sampler=ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON))
    with below(remote=True):
        seen.execute()
    assert len(seen.spans) == 2


def test_a_sampled_trace_has_spans(make: Make) -> None:
    seen = make(sampler=DEFAULT_OFF)
    with below(sampled=True):
        seen.execute()
    assert len(seen.spans) == 2


@pytest.mark.parametrize("is_silent", [True, False])
def test_other_instrumentation_is_as_silent_as_in_sampled_traces(make: Make, is_silent: bool) -> None:
    asked: list[bool] = []

    def answer(_: Request) -> Response:
        asked.append(bool(context.get_value(HTTP)))
        return OK

    with below():
        make(FakeTransport(answer), suppress_http_instrumentation=is_silent).execute()
    assert asked == [is_silent]
    assert context.get_value(HTTP) is None


@pytest.mark.skipif(not hasattr(Tracer, "_is_enabled"), reason="this SDK's tracers have no switch")
def test_a_tracer_switched_off_leaves_requests_to_others(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.sdk.trace.Tracer._is_enabled", lambda _: False)
    asked: list[bool] = []

    def answer(_: Request) -> Response:
        asked.append(bool(context.get_value(HTTP)))
        return OK

    with below():
        make(FakeTransport(answer)).execute()
    assert asked == [False]


def test_a_tracer_without_a_switch_counts_as_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("opentelemetry.sdk.trace.Tracer._is_enabled", raising=False)
    seen = make()
    with below():
        seen.execute()
    assert seen.sent[0][2] == f"{PARENT:016x}"


def test_a_span_without_a_context_changes_no_result(make: Make) -> None:
    class Broken(NonRecordingSpan):
        def get_span_context(self) -> SpanContext:
            raise ValueError("broken")

    seen = make()
    with below(Broken(trace.INVALID_SPAN_CONTEXT)):
        assert seen.execute().session_id == "ses1"


def test_a_provider_that_is_not_the_sdks_is_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.sdk.trace.sampling")
    seen = make(tracer_provider=TracerProvider(sampler=ALWAYS_ON))
    with below():
        seen.execute()
    assert seen.sent[0][2] != f"{PARENT:016x}"
