"""Components behind OpenTelemetry's API may raise: no call, page or session changes because of that."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from airplane_runbooks.server import Context, RunbookServer, runbook, task
from tests.server.observers.test_server_spans import run, traced
from tests.support.browsing import Browser
from tests.support.servers import Client, eventually


def look_up() -> str:
    return "found"


def fail() -> None:
    raise ValueError("no")


@runbook
def asks(context: Context) -> str:
    """Take a step, ask, and take another one."""
    found = context.step(look_up)
    answer = context.prompt("Go on?", go=bool)
    return context.step(look_up, name="again") if answer["go"] else found


@runbook
def fails(context: Context) -> None:
    """Fail in a step."""
    context.step(fail, retries=1)


@task
def one() -> int:
    return 1


class Breaking(Sampler, SpanProcessor, TextMapPropagator):
    """Raises at one place."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.raised = 0

    def _at(self, place: str) -> None:
        if place == self.place:
            self.raised += 1
            raise ValueError("tkn_secret")

    def should_sample(self, *args: Any, **named: Any) -> Any:
        self._at("sampler")
        return ALWAYS_ON.should_sample(*args, **named)

    def get_description(self) -> str:
        return "breaking"

    def on_start(self, *_: Any, **__: Any) -> None:
        self._at("start")

    def on_end(self, *_: Any) -> None:
        self._at("end")

    def extract(self, *_: Any, **__: Any) -> Any:
        self._at("propagator")
        if self.place == "rubbish context":
            self.raised += 1
            return "rubbish"
        return TraceContext()

    def inject(self, *_: Any, **__: Any) -> None: ...

    @property
    def fields(self) -> set[str]:
        return set()


class Rubbish:
    """A provider and tracer whose spans are of a wrong type."""

    def get_tracer(self, *_: Any, **__: Any) -> Any:
        return self

    def start_span(self, *_: Any, **__: Any) -> Any:
        return "rubbish"


class NoTracer:
    def get_tracer(self, *_: Any, **__: Any) -> Any:
        raise ValueError("tkn_secret")


def raising(*_: Any, **__: Any) -> Any:
    raise ValueError("tkn_secret")


def provider_that_breaks(place: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    match place:
        case "provider":
            return NoTracer()
        case "rubbish span":
            return Rubbish()
        case "attributes":
            monkeypatch.setattr(Span, "set_attribute", raising)
        case "status":
            monkeypatch.setattr(Span, "set_status", raising)
        case "span context":
            monkeypatch.setattr(Span, "get_span_context", raising)
        case "attach" | "detach":
            monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, place, raising)
    breaking = Breaking(place)
    monkeypatch.setattr(propagate, "get_global_textmap", lambda: breaking)
    provider = TracerProvider(sampler=breaking)
    provider.add_span_processor(breaking)
    return provider


PLACES = ["sampler", "start", "end", "propagator", "rubbish context", "provider", "rubbish span"]
PLACES += ["attributes", "status", "span context", "attach"]


@pytest.mark.parametrize("place", PLACES)
def test_exceptions_of_telemetry_components_change_no_result(place, monkeypatch, caplog):
    provider = provider_that_breaks(place, monkeypatch)
    with (
        caplog.at_level(logging.INFO, "airplane_runbooks"),
        RunbookServer([asks, fails], [one], tracer_provider=provider) as server,
    ):
        api, browser = (
            Client(server, traceparent=f"00-{'a' * 32}-{'b' * 16}-01"),
            Browser(server.base_url, server.api_key),
        )
        by_api, by_page = api.execute("asks"), api.execute("asks")
        assert api.answer(by_api, go=True).status == 200
        assert browser.answer(api.open_prompt(by_page)["id"], go="0").status == 303
        for session_id in (by_api, by_page):
            api.reaches(session_id, "Succeeded")
            assert api.output(api.runs(session_id)[0]) == "found"
            assert "found" in browser.get(f"/sessions/{session_id}").text
        assert api.finishes("fails", status="Failed") == {"error": "step 'fail' failed: ValueError: no"}
        run_id = api.post("/tasks/execute", {"slug": "one"}).json["runID"]
        eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")
        cancelled = api.execute("asks")
        api.open_prompt(cancelled)
        assert api.post("/runs/cancel", {"runID": api.runs(cancelled)[0]["id"]}).status == 200
        assert api.get("/sessions/get", id="nope").status == 404
        api.close()
        browser.close()
    told = [
        record.getMessage() for record in caplog.records if record.name == "airplane_runbooks.server.observers.tracing"
    ]
    kind = "TypeError" if "rubbish" in place else "ValueError"
    assert told == [f"telemetry is incomplete: builtins.{kind}"]
    assert "tkn_secret" not in caplog.text


@pytest.mark.parametrize("place", ["start", "end"])
def test_no_context_stays_behind_when_a_processor_raises(place, monkeypatch):
    emitter, before = traced(provider_that_breaks(place, monkeypatch)), otel_context.get_current()
    with emitter.request("GET", "/", {}), emitter.attempt(run(), run(), 1):
        pass
    with pytest.raises(ZeroDivisionError), emitter.request("GET", "/", {}):
        raise ZeroDivisionError
    assert otel_context.get_current() == before
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_interrupt_passes_and_leaves_no_context_behind(monkeypatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    provider = provider_that_breaks("nowhere", monkeypatch)
    emitter, before = traced(provider), otel_context.get_current()
    monkeypatch.setattr(Breaking, "on_end", interrupted)
    with pytest.raises(KeyboardInterrupt), emitter.request("GET", "/", {}):
        pass
    assert otel_context.get_current() == before
