from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
import shop
import uvicorn
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from refunds import deadlines
from serving import serving

from airplane_runbooks.server import RunbookServer

PROVIDER = TracerProvider()
trace.set_tracer_provider(PROVIDER)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    PROVIDER.add_span_processor(processor)
    yield exporter
    processor.shutdown()


@pytest.fixture
def runbooks(airplane_server: Callable[..., RunbookServer], monkeypatch: pytest.MonkeyPatch) -> RunbookServer:
    """Serve the runbook, and tell the service where."""
    server = airplane_server(shop.refund)
    monkeypatch.setattr(deadlines, "BUDGET", 60.0)  # a busy machine takes its time
    monkeypatch.setenv("AIRPLANE_API_KEY", server.api_key)
    monkeypatch.setenv("AIRPLANE_API_HOST", server.base_url.removesuffix("/v0"))
    return server


@pytest.fixture
def service(runbooks: RunbookServer) -> Iterator[tuple[uvicorn.Server, str]]:  # noqa: ARG001  # it is there first
    with serving() as running:
        yield running


@pytest.fixture
def caller(service: tuple[uvicorn.Server, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service[1], timeout=60, trust_env=False) as client:
        yield client
