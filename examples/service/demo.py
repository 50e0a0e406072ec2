"""The service and a server of runbooks in one process, and some requests: `python demo.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable

import httpx
import shop
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from serving import serving

from airplane_runbooks.server import RunbookServer

TRACE = "0af7651916cd43dd8448eb211c80319c"  # of the caller, who made its spans elsewhere
ADA = "ada@example.com"


def main() -> None:
    """Send some requests, print the answers, and the spans of the first one."""
    spans = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    with RunbookServer([shop.refund]) as runbooks:
        os.environ |= {"AIRPLANE_API_KEY": runbooks.api_key, "AIRPLANE_API_HOST": runbooks.base_url.removesuffix("/v0")}
        with serving() as (_, url), httpx.Client(base_url=url, timeout=30, trust_env=False) as caller:
            show(caller, "order-1", {"customer": ADA, "cents": 500}, traceparent=f"00-{TRACE}-{1:016x}-01")
            show(caller, "order-1", {"customer": ADA, "cents": 500})
            show(caller, "order-2", {"customer": "bob@elsewhere.com", "cents": 500})
            show(caller, "order-3", {"customer": ADA, "cents": 20_000}, x_request_timeout="1")
            show(caller, "order-4", {"customer": ADA, "cents": 500}, x_request_timeout="0.01")
            print("GET /health/ready", caller.get("/health/ready").status_code)
    print(f"\nspans of the trace {TRACE}, which the caller began:")
    draw(spans.get_finished_spans(), 1)


def show(caller: httpx.Client, order: str, body: dict[str, object], **headers: str) -> None:
    """Ask for a refund, and print the answer."""
    answer = caller.post(
        f"/refunds/{order}", json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    print(f"POST /refunds/{order} {answer.status_code} {answer.text}")


def draw(spans: Iterable[ReadableSpan], parent: int, indent: str = "  ") -> None:
    """Print the spans below one."""
    for span in sorted(spans, key=lambda one: one.start_time or 0):
        if span.context is not None and span.parent is not None and span.parent.span_id == parent:
            print(f"{indent}{span.name}")
            draw(spans, span.context.span_id, indent + "  ")


if __name__ == "__main__":
    main()
