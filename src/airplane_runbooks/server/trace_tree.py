"""Collects the spans of a process and draws them as a tree, for the demo."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
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
        return "\n".join(_folded([_drawn(children, root, "") for root in children[None]]))

    def root(self, name: str) -> AbstractContextManager[object]:
        """Return a span around everything that happens in a `with` statement."""
        if self.provider is None:
            return nullcontext()
        return self.provider.get_tracer("demo").start_as_current_span(name)


def _drawn(children: dict[int | None, list[ReadableSpan]], span: ReadableSpan, indent: str) -> str:
    """Draw a span and what is below it."""
    attributes = span.attributes or {}
    name = span.name
    if "url.full" in attributes:
        result = attributes.get("http.response.status_code", attributes.get("error.type"))
        name = f"{name} {str(attributes['url.full']).partition('?')[0]} -> {result}"
    context = span.get_span_context()
    below = children[context.span_id] if context is not None else ()
    lines = _folded([_drawn(children, child, indent + "   ") for child in below])
    return "\n".join([f"{indent}{name}  ({span.kind.name})", *lines])


def _folded(blocks: list[str]) -> Iterator[str]:
    """Draw equal blocks in a row once, with their number."""
    for block, group in itertools.groupby(blocks):
        count = len(list(group))
        first, newline, rest = block.partition("\n")
        yield first + (f"  x {count}" if count > 1 else "") + newline + rest
