# ruff: noqa: INP001 - docs is not a package
"""Draws the picture of a trace, `docs/images/trace.svg`, anew: `python -m docs.trace_picture`.

Needs the OpenTelemetry SDK. Executes the demo's runbook, whose steps it slows down so that their bars can be seen, with
a server that is busy at first.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock
from xml.sax.saxutils import escape

import tenacity
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from airplane_runbooks import Airplane, Request, Response, RetryPolicy
from airplane_runbooks.server import RunbookServer, demo
from airplane_runbooks.testing import json_response
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport
from docs.svg import HEAD

PICTURE = Path(__file__).parent / "images" / "trace.svg"

SHOWN_ALIKE = 3  # of siblings with one name, such as the looks of a wait; the others share a row
MOST_TICKS = 8

WIDTH, ROW, TOP, BOTTOM = 1080, 22, 40, 12
NAMES, KINDS, BARS, DURATIONS = 16, 336, 424, 1064  # where the columns begin; that of the durations ends there
BARS_END = 968
INDENT = 16
THINNEST = 2.0

COLOURS = {
    "operation": "#3f51b5",
    "attempt": "#1e88c7",
    "server": "#00796b",
    "session": "#78909c",
    "step": "#b26a00",
    "prompt": "#8e24aa",
    "other": "#616161",
}
FRAME = (
    HEAD
    + """\
<style>
text {{ font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }}
.muted {{ fill: #57606a }}
.error {{ fill: #b3001b; font-weight: 600 }}
.stripe {{ fill: #8c959f; fill-opacity: 0.1 }}
.tick {{ stroke: #d8dee4 }}
.branch {{ stroke: #afb8c1; fill: none }}
.link {{ stroke: #8e24aa; stroke-width: 1.5; stroke-dasharray: 4 3; fill: none }}
</style>
<defs>
<pattern id="failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="#ffd7dc"/><rect width="2" height="6" fill="#b3001b"/>
</pattern>
<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto">
<path d="M0 0 L8 4 L0 8 Z" fill="#8e24aa"/>
</marker>
</defs>
<rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>
{content}
</svg>
"""
)


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(waterfall(refunded()), encoding="utf-8")


def refunded() -> list[ReadableSpan]:
    """Refund something, and return the spans of the trace."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with (
        slow_steps(find_invoice=0.12, check_fraud=0.08, issue_refund=0.16, tell_customer=0.06),
        TemporaryDirectory() as folder,
        RunbookServer([demo.refund], database=f"sqlite:///{folder}/runbooks.db", tracer_provider=provider) as server,
        Airplane(
            server.api_key,
            base_url=server.base_url,
            transport=BusyAtFirst(),
            retry=RetryPolicy(wait=tenacity.wait_fixed(0.1)),
            tracer_provider=provider,
        ) as airplane,
    ):
        airplane.runbooks.execute_and_wait(
            "refund", param_values={"customer": "ada@example.com"}, wait_timeout=60, on_prompt=agree
        )
    spans = exporter.get_finished_spans()
    (whole,) = {span.context.trace_id for span in spans if span.name == "runbooks.execute_and_wait"}
    return [span for span in spans if span.context.trace_id == whole]


def slow_steps(**seconds: float) -> Any:
    """Let the demo's steps take their time in a `with` statement."""

    def slow(step: Callable[..., Any], delay: float) -> Callable[..., Any]:
        @functools.wraps(step)
        def slower(*arguments: Any) -> Any:
            time.sleep(delay)  # so that it has a width in the picture
            return step(*arguments)

        return slower

    return mock.patch.multiple(demo, **{name: slow(getattr(demo, name), delay) for name, delay in seconds.items()})


def agree(*_: object) -> dict[str, Any]:
    """Answer the prompt, after a moment."""
    time.sleep(0.4)  # as long as the picture can show
    return {"approve": True, "note": "as agreed"}


class BusyAtFirst:
    """A transport that finds the server busy at the first attempt."""

    def __init__(self) -> None:
        self._inner = Urllib3Transport()
        self._is_first = True

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt."""
        if self._is_first:
            self._is_first = False
            time.sleep(0.03)  # so that it has a width, too
            return json_response({"error": "busy"}, status=503)
        return self._inner.send(request, timeout)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


class Row(NamedTuple):
    """A span in its place in the tree, or several alike that share a row."""

    depth: int
    parent: int | None  # its row
    spans: Sequence[ReadableSpan]

    @property
    def name(self) -> str:
        """The name to show."""
        name, others = self.spans[0].name, len(self.spans)
        return name if others == 1 else f"… {others} further {name}"


def rows(spans: Iterable[ReadableSpan]) -> list[Row]:
    """Return the rows of a trace: each span above those below it, siblings by their start."""
    spans = sorted(spans, key=lambda span: span.start_time)
    ids = {span.context.span_id for span in spans}
    below: dict[int | None, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        below[span.parent.span_id if span.parent and span.parent.span_id in ids else None].append(span)
    found: list[Row] = []

    def add(siblings: Sequence[ReadableSpan], depth: int, parent: int | None) -> None:
        for group in folded(siblings):
            found.append(Row(depth, parent, group))
            if len(group) == 1:
                add(below[group[0].context.span_id], depth + 1, len(found) - 1)

    add(below[None], 0, None)
    return found


def folded(siblings: Sequence[ReadableSpan]) -> Iterator[Sequence[ReadableSpan]]:
    """Group siblings into rows: the attempts beyond the first few of one name go together, where the first would be."""
    seen: Counter[str] = Counter()
    groups: dict[object, list[ReadableSpan]] = {}
    for number, span in enumerate(siblings):
        is_alike = span.kind is SpanKind.CLIENT and error_of(span) is None
        seen[span.name] += is_alike
        key = span.name if is_alike and seen[span.name] > SHOWN_ALIKE else number
        groups.setdefault(key, []).append(span)
    yield from groups.values()


def kind_of(span: ReadableSpan) -> str:
    """Tell what a span stands for."""
    scope, attributes = span.instrumentation_scope.name, span.attributes or {}
    if span.kind is SpanKind.SERVER:
        return "server"
    if scope == "airplane_runbooks":
        return "attempt" if span.kind is SpanKind.CLIENT else "operation"
    if scope != "airplane_runbooks.server":
        return "other"
    if "airplane.prompt.id" in attributes:
        return "prompt"
    return "step" if "airplane.attempt" in attributes else "session"


def error_of(span: ReadableSpan) -> str | None:
    """Return a failed span's error in a word, None for others."""
    if span.status.status_code is not StatusCode.ERROR:
        return None
    return str((span.attributes or {}).get("error.type", "error")).rpartition(".")[2]


class Axis:
    """Turns the nanoseconds of a trace into pixels."""

    def __init__(self, spans: Sequence[ReadableSpan]) -> None:
        self.start = min(span.start_time for span in spans)
        self.length = max(1, max(span.end_time for span in spans) - self.start)

    def x(self, moment: float) -> float:
        """Return where a moment is."""
        return BARS + (BARS_END - BARS) * (moment - self.start) / self.length

    def bar(self, span: ReadableSpan) -> tuple[float, float]:
        """Return the start and the width of a span's bar, wide enough to be seen and within the axis."""
        width = max(self.x(span.end_time) - self.x(span.start_time), THINNEST)
        return min(self.x(span.start_time), BARS_END - width), width

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield round moments and how to write them."""
        steps = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
        step = next(step for step in steps if step * MOST_TICKS >= self.length)
        for offset in range(0, self.length + 1, step):
            yield self.x(self.start + offset), f"{offset / 1e9:g} s" if self.length >= 1e9 else f"{offset / 1e6:g} ms"


def waterfall(spans: Sequence[ReadableSpan]) -> str:
    """Draw the finished spans of a trace as an SVG: a row for each in the order of the tree, a bar for its time."""
    lines, axis = rows(spans), Axis(spans)
    height = TOP + ROW * len(lines) + BOTTOM
    return FRAME.format(
        width=WIDTH,
        height=height,
        inner_width=WIDTH - 1,
        inner_height=height - 1,
        title=escape(f"The trace of {lines[0].name}"),
        description=escape(in_words(lines, axis)),
        content="\n".join([*headings(axis, height), *drawn(lines, axis), *links(lines, axis)]),
    )


def in_words(lines: Sequence[Row], axis: Axis) -> str:
    """Tell the picture to those who do not see it."""
    count = sum(len(row.spans) for row in lines)
    errors = [f"{row.name} ({error})" for row in lines if (error := error_of(row.spans[0]))]
    return (
        f"{count} spans in {lasting(axis.length)}: each below its parent with its kind, a bar from its start to its "
        f"end, and its duration. Errors: {', '.join(errors) or 'none'}."
    )


def headings(axis: Axis, height: int) -> Iterator[str]:
    """Draw what stands above the columns, and the lines of the round moments."""
    yield f'<text class="muted" x="{NAMES}" y="24">span</text>'
    yield f'<text class="muted" x="{KINDS}" y="24">kind</text>'
    yield f'<text class="muted" x="{DURATIONS}" y="24" text-anchor="end">duration</text>'
    for x, moment in axis.ticks():
        yield f'<path class="tick" d="M{x:.1f} {TOP - 8} V{height - BOTTOM}"/>'
        yield f'<text class="muted" x="{x:.1f}" y="24" text-anchor="middle">{moment}</text>'


def drawn(lines: Sequence[Row], axis: Axis) -> Iterator[str]:
    """Draw the rows."""
    names = {row.spans[0].context.span_id: row.name for row in lines}
    for number, row in enumerate(lines):
        y = middle(number)
        yield f'<g class="row">{stripe(number)}{branch(row, y)}{words(row, names, y)}'
        yield from (bar(span, axis, y) for span in row.spans)
        yield "</g>"


def middle(number: int) -> int:
    """Return where a row is."""
    return TOP + ROW * number + ROW // 2


def stripe(number: int) -> str:
    """Draw the ground of every other row, which leads the eye from a name to its bar."""
    return f'<rect class="stripe" x="8" y="{TOP + ROW * number}" width="{WIDTH - 16}" height="{ROW}"/>' * (number % 2)


def branch(row: Row, y: int) -> str:
    """Draw the way from the row of the parent."""
    x = NAMES + INDENT * row.depth - INDENT // 2 - 2
    above = "" if row.parent is None else f"M{x} {middle(row.parent) + 9} V{y} h{INDENT // 2 - 2}"
    return above and f'<path class="branch" d="{above}"/>'


def words(row: Row, names: dict[int, str], y: int) -> str:
    """Write a row's name, with its error and the names of what it is linked to, its kind and its duration."""
    span = row.spans[0]
    text = f"<tspan>{escape(row.name)}</tspan>"
    if error := error_of(span):
        text += f'<tspan class="error" dx="8">✕ {escape(error)}</tspan>'
    for link in span.links:
        name = names.get(link.context.span_id, "another trace")
        text += f'<tspan class="muted" dx="8">→ {escape(name)}</tspan>'
    kind, longest = kind_of(span), lasting(max(one.end_time - one.start_time for one in row.spans))
    return (
        f'<text x="{NAMES + INDENT * row.depth}" y="{y + 4}">{text}</text>'
        f'<rect x="{KINDS}" y="{y - 4}" width="8" height="8" fill="{COLOURS[kind]}"/>'
        f'<text x="{KINDS + 14}" y="{y + 4}">{kind}</text>'
        f'<text x="{DURATIONS}" y="{y + 4}" text-anchor="end">{"up to " * (len(row.spans) > 1)}{longest}</text>'
    )


def lasting(nanoseconds: int) -> str:
    """Write a duration in two or three digits."""
    if nanoseconds >= 1e9:
        return f"{nanoseconds / 1e9:.2f} s"
    if nanoseconds < 1e5:
        return "&lt; 0.1 ms"
    return f"{nanoseconds / 1e6:.{1 if nanoseconds < 1e7 else 0}f} ms"


def bar(span: ReadableSpan, axis: Axis, y: int) -> str:
    """Draw a span's time."""
    x, width = axis.bar(span)
    colour = COLOURS[kind_of(span)]
    look = f'fill="{colour}"' if error_of(span) is None else 'fill="url(#failed)" stroke="#b3001b"'
    return f'<rect class="bar" x="{x:.1f}" y="{y - 6}" width="{width:.1f}" height="12" rx="1.5" {look}/>'


def links(lines: Sequence[Row], axis: Axis) -> Iterator[str]:
    """Draw a way from the end of each span to those that it is linked to."""
    shown = {row.spans[0].context.span_id: number for number, row in enumerate(lines)}
    for number, row in enumerate(lines):
        for link in row.spans[0].links:
            if (target := shown.get(link.context.span_id)) is not None:
                x, (start, width) = axis.x(row.spans[0].end_time), axis.bar(lines[target].spans[0])
                nearest, side = min(max(x, start), start + width), 6 if target > number else -6
                way = f"M{x:.1f} {middle(number) + side} L{nearest:.1f} {middle(target) - side}"
                yield f'<path class="link" marker-end="url(#arrow)" d="{way}"/>'


if __name__ == "__main__":
    main()
