"""The transports that the guide shows keep every promise."""

from __future__ import annotations

import asyncio

import pytest

from airplane_runbooks import Airplane, AsyncAirplane
from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.testing.conformance import AsyncTransportConformance, TransportConformance
from docs.guides.socket_transport import SocketTransport
from docs.guides.stream_transport import StreamTransport


@runbook
def greet(context: Context, name: str) -> str:
    """Greet."""
    return f"Hello {name}"


def test_the_sync_transport_of_the_guide_serves_a_client():
    transport = SocketTransport()
    with (
        RunbookServer([greet]) as server,
        Airplane(server.api_key, base_url=server.base_url, transport=transport) as airplane,
    ):
        assert airplane.runbooks.run("greet", {"name": "Ada"}, wait_timeout=60) == "Hello Ada"


def test_the_async_transport_of_the_guide_serves_a_client():
    async def call(server):
        transport = StreamTransport()
        async with AsyncAirplane(server.api_key, base_url=server.base_url, transport=transport) as airplane:
            return await airplane.runbooks.run("greet", {"name": "Ada"}, wait_timeout=60)

    with RunbookServer([greet]) as server:
        assert asyncio.run(call(server)) == "Hello Ada"


@pytest.mark.nightly
class TestSocketTransport(TransportConformance):
    def make(self, **options):
        return SocketTransport(**options)


@pytest.mark.nightly
class TestStreamTransport(AsyncTransportConformance):
    def make(self, **options):
        return StreamTransport(**options)
