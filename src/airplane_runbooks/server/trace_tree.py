"""Collects the spans of a process and draws them as a tree, for the demo."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TracerProvider


class TraceTree:
    """A tracer provider that keeps its spans, or none at all where the OpenTelemetry SDK is not installed."""

    def __init__(self) -> None:
        self.provider: TracerProvider | None = None
        self._exporter: Any = None
        try:
            from opentelemetry.sdk.trace import TracerProvider as SDKProvider
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor
            from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        except ImportError:
            return
        provider = SDKProvider()
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.provider = provider

    def render(self) -> str:
        """Draw all spans that have ended; calls that repeat, as polling does, are counted on one line."""
        if self._exporter is None:
            return "(pip install opentelemetry-sdk to see it)"
        children: dict[int | None, list[ReadableSpan]] = defaultdict(list)
        for span in sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time):
            children[span.parent.span_id if span.parent else None].append(span)
        blocks = ["\n".join(_block(children, root, "")) for root in children[None]]
        return "\n".join(_counted(blocks))


def _block(children: dict[int | None, list[ReadableSpan]], span: ReadableSpan, indent: str) -> Iterator[str]:
    """Draw a span and what is below it."""
    attributes = span.attributes or {}
    name = span.name
    if "url.full" in attributes:
        result = attributes.get("http.response.status_code", attributes.get("error.type"))
        name = f"{name} {str(attributes['url.full']).partition('?')[0]} -> {result}"
    yield f"{indent}{name}  ({span.kind.name})"
    context = span.get_span_context()
    for child in children[context.span_id] if context is not None else ():
        yield from _block(children, child, indent + "   ")


def _counted(blocks: list[str]) -> Iterator[str]:
    """Draw equal blocks in a row once, with their number."""
    for block, group in itertools.groupby(blocks):
        count = len(list(group))
        first, newline, rest = block.partition("\n")
        yield first + (f"  x {count}" if count > 1 else "") + newline + rest
