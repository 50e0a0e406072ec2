"""Both clients on our transport, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from airplane_httpx import HttpxTransport

from airplane_runbooks import Airplane, AsyncAirplane
from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.transports.threaded import ThreadedTransport


@runbook
def greet(_context: Context, name: str) -> str:
    return f"Hello {name}"


@pytest.fixture
def server(airplane_server: Callable[..., RunbookServer]) -> RunbookServer:
    return airplane_server(greet)


def test_a_client_runs_a_runbook(server: RunbookServer) -> None:
    with Airplane(server.api_key, base_url=server.base_url, transport=HttpxTransport()) as airplane:
        assert airplane.runbooks.run("greet", {"name": "Ada"}, wait_timeout=60) == "Hello Ada"


def test_an_async_client_runs_a_runbook_on_threads(server: RunbookServer) -> None:
    async def run() -> object:
        transport = ThreadedTransport(HttpxTransport())
        async with AsyncAirplane(server.api_key, base_url=server.base_url, transport=transport) as airplane:
            return await airplane.runbooks.run("greet", {"name": "Ada"}, wait_timeout=60)

    assert asyncio.run(run()) == "Hello Ada"
