"""One trace from the call of the client to the end of the session, across the death of the server in the middle."""

from __future__ import annotations

from collections import defaultdict

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, runbook
from tests.support.browsing import Browser
from tests.support.servers import Client

FAILURES = []


def find(customer: str) -> str:
    return customer


def issue(customer: str) -> str:
    if not FAILURES:
        FAILURES.append(customer)
        raise ConnectionError
    return f"refunded {customer}"


@runbook
def refund(context: Context, customer: str) -> str:
    """Find, ask, refund."""
    found = context.step(find, customer)
    context.prompt("Go on?", go=bool)
    return context.step(issue, found, retries=1)


class Spans:
    def __init__(self):
        self.exporter, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def tree(self, trace_id):
        """Return the names of a trace, each with those below it, and the spans by name."""
        below, named = defaultdict(list), defaultdict(list)
        for span in sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time):
            if span.context.trace_id == trace_id:
                below[span.parent and span.parent.span_id].append(span)
                named[span.name].append(span)

        def names(parent):
            return {span.name: names(span.context.span_id) for span in below[parent] if span.kind.name != "CLIENT"} | {
                name: inner
                for span in below[parent]
                if span.kind.name == "CLIENT"
                for name, inner in names(span.context.span_id).items()
            }

        return names(None), named


@pytest.mark.parametrize("by", ["api", "page"])
def test_one_trace_shows_a_call_and_its_steps_prompt_and_end(tmp_path, by):
    FAILURES.clear()
    spans = Spans()
    options = {
        "database": f"sqlite:///{tmp_path / 'runbooks.db'}",
        "api_key": "tkn_1",
        "tracer_provider": spans.provider,
    }
    with (
        RunbookServer([refund], **options) as server,
        Airplane("tkn_1", base_url=server.base_url, tracer_provider=spans.provider) as airplane,
    ):
        session_id = airplane.runbooks.execute("refund", param_values={"customer": "ada"}).session_id
        api = Client(server)
        prompt_id = api.open_prompt(session_id)["id"]
        api.close()
    with RunbookServer([refund], **options) as server:
        api = Client(server)
        if by == "api":
            assert api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}}).status == 200
        else:
            browser = Browser(server.base_url, "tkn_1")
            assert browser.answer(prompt_id, go="0").status == 303
            browser.close()
        api.reaches(session_id, "Succeeded")
        api.close()
    (call,) = [span for span in spans.exporter.get_finished_spans() if span.name == "runbooks.execute"]
    tree, named = spans.tree(call.context.trace_id)
    within = {"step find": {}, "prompt": {}, "step issue": {}, "session refund": {}}
    assert tree == {"runbooks.execute": {"POST /v0/runbooks/execute": {"start refund": within}}}
    first, second = named["step issue"]
    assert (first.attributes["airplane.attempt"], second.attributes["airplane.attempt"]) == (1, 2)
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    (link,) = named["prompt"][0].links
    path = "/v0/prompts/submit" if by == "api" else "/prompts/{id}"
    (answer,) = [span for span in spans.exporter.get_finished_spans() if span.name == f"POST {path}"]
    assert link.context.span_id == answer.context.span_id
    ids = {span.attributes["airplane.session.id"] for name in ("start refund", *within) for span in named[name]}
    assert ids == {session_id}
