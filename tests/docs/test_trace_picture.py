"""The picture of a trace shows every span in its place."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanKind, StatusCode

from docs.trace_picture import BARS, BARS_END, waterfall

SVG = "{http://www.w3.org/2000/svg}"
MILLISECOND = 1_000_000
BEGINNING = 1_800_000_000_000 * MILLISECOND


class Trace:
    """Makes spans whose times are milliseconds after its beginning."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self._provider = TracerProvider()

    def span(self, name: str, start: float, end: float, *, below: Any = None, error: str = "", **options: Any) -> Any:
        tracer = self._provider.get_tracer(options.pop("scope", "airplane_runbooks"))
        context = None if below is None else trace.set_span_in_context(below)
        at = [BEGINNING + int(moment * MILLISECOND) for moment in (start, end)]
        span: Any = tracer.start_span(name, context, start_time=at[0], **options)
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(at[1])
        self.spans.append(span)
        return span


def picture_of(made: Trace) -> Element:
    return fromstring(waterfall(list(reversed(made.spans))))


def rows_of(picture: Element) -> list[Element]:
    return [group for group in picture.iter(f"{SVG}g") if group.get("class") == "row"]


def texts(row: Element) -> list[str]:
    return ["|".join(text.itertext()) for text in row.iter(f"{SVG}text")]


def indent(row: Element) -> float:
    return float(row.find(f"{SVG}text").get("x"))


def bars(row: Element) -> list[tuple[float, float]]:
    found = [bar for bar in row.iter(f"{SVG}rect") if bar.get("class") == "bar"]
    return [(float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))) for bar in found]


@pytest.fixture
def call() -> Trace:
    made = Trace()
    root = made.span("runbooks.execute", 0, 500)
    made.span("POST", 0, 100, below=root, kind=SpanKind.CLIENT, error="airplane_runbooks.errors.ConnectError")
    attempt = made.span("POST", 250, 500, below=root, kind=SpanKind.CLIENT)
    made.span("POST /<v0> & more", 499.9, 500, below=attempt, kind=SpanKind.SERVER, scope="airplane_runbooks.server")
    return made


def test_every_span_has_a_row_with_its_kind_and_duration(call):
    assert [texts(row) for row in rows_of(picture_of(call))] == [
        ["runbooks.execute", "operation", "500 ms"],
        ["POST|✕ ConnectError", "attempt", "100 ms"],
        ["POST", "attempt", "250 ms"],
        ["POST /<v0> & more", "server", "0.1 ms"],
    ]


def test_a_span_is_indented_under_its_parent(call):
    root, failed, attempt, server = map(indent, rows_of(picture_of(call)))
    assert root < failed == attempt < server


def test_bars_stand_for_times_and_stay_within_the_axis(call):
    root, failed, attempt, server = (bars(row)[0] for row in rows_of(picture_of(call)))
    middle = (BARS + BARS_END) / 2
    assert root == (BARS, BARS_END)
    assert failed == pytest.approx((BARS, BARS + (BARS_END - BARS) / 5))
    assert attempt == pytest.approx((middle, BARS_END))
    assert server == pytest.approx((BARS_END - 2, BARS_END))


def test_a_failed_span_is_marked_by_more_than_its_colour(call):
    _, failed, attempt, _ = (tostring(row, encoding="unicode") for row in rows_of(picture_of(call)))
    assert "url(#failed)" in failed
    assert "url(#failed)" not in attempt


def test_it_tells_in_words_what_it_shows(call):
    picture = picture_of(call)
    assert picture.get("role") == "img"
    assert picture.findtext(f"{SVG}title") == "The trace of runbooks.execute"
    assert picture.findtext(f"{SVG}desc").startswith("4 spans in 500 ms:")
    assert picture.findtext(f"{SVG}desc").endswith("Errors: POST (ConnectError).")


def test_the_axis_has_round_moments(call):
    ticks = [text.text for text in picture_of(call).findall(f"{SVG}text") if text.get("text-anchor") == "middle"]
    assert ticks == ["0 ms", "100 ms", "200 ms", "300 ms", "400 ms", "500 ms"]


def test_further_attempts_share_a_row_unless_they_failed():
    made = Trace()
    root = made.span("sessions.wait", 0, 1000)
    for number in range(6):
        made.span("GET", 100 * number, 100 * number + 10 + number, below=root, kind=SpanKind.CLIENT)
    made.span("GET", 700, 710, below=root, kind=SpanKind.CLIENT, error="503")
    rows = rows_of(picture_of(made))
    names = [texts(row)[0] for row in rows]
    assert names == ["sessions.wait", "GET", "GET", "GET", "… 3 further GET", "GET|✕ 503"]
    assert len(bars(rows[4])) == 3
    assert texts(rows[4])[-1] == "up to 15 ms"


def test_a_link_is_named_and_drawn():
    made = Trace()
    root = made.span("start refund", 0, 1000, scope="airplane_runbooks.server")
    answer = made.span("POST /v0/prompts/submit", 600, 700, below=root, kind=SpanKind.SERVER)
    made.span(
        "prompt",
        100,
        650,
        below=root,
        scope="airplane_runbooks.server",
        attributes={"airplane.prompt.id": "pmt1"},
        links=[Link(answer.get_span_context()), Link(trace.SpanContext(1, 2, is_remote=True))],
    )
    picture = picture_of(made)
    assert texts(rows_of(picture)[1])[:2] == ["prompt|→ POST /v0/prompts/submit|→ another trace", "prompt"]
    assert len([path for path in picture.iter(f"{SVG}path") if path.get("class") == "link"]) == 1
