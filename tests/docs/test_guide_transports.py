"""The transports that the guide shows keep every promise."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from textwrap import indent

import pytest

from airplane_runbooks import Airplane, AsyncAirplane
from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.testing.conformance import AsyncTransportConformance, TransportConformance
from docs.guides.socket_transport import SocketTransport
from docs.guides.stream_transport import StreamTransport

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


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


def test_the_guide_shows_the_transport_as_it_is():
    page, source = ((GUIDES / name).read_text("utf-8") for name in ("transports.md", "socket_transport.py"))
    section = page.partition("## One from scratch")[2].partition("\n## ")[0]
    shown = [
        code.replace("\n\n\n", "\n\n") for code in re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    ]

    assert len(shown) == 2
    assert [code for code in shown if not any(indent(code, " " * depth) in source for depth in (0, 4, 8))] == []


@pytest.mark.nightly
class TestSocketTransport(TransportConformance):
    def make(self, **options):
        return SocketTransport(**options)


@pytest.mark.nightly
class TestStreamTransport(AsyncTransportConformance):
    def make(self, **options):
        return StreamTransport(**options)
