"""Connections that are not in use: closed where their server cannot be trusted to be in step."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airplane_runbooks import ConfigurationError, ConnectError
from airplane_runbooks.testing import FakeTransport
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, always, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport


def test_preparing_a_malformed_origin_is_a_connect_error() -> None:
    transport = Urllib3Transport()
    with pytest.raises(ConnectError, match="no connection"):
        transport.prepare("http://[::1")


@pytest.mark.parametrize("make", [Urllib3Transport, AsyncioTransport, ThreadedTransport])
def test_closing_idle_connections_of_an_unused_origin_is_fine(make: Any) -> None:
    make().close_idle("http://api.test")


def test_a_given_transport_needs_one_thread_at_least() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        ThreadedTransport(FakeTransport(), pool_size=0)


def test_other_origins_keep_their_idle_connections() -> None:
    async def scenario(origin: str) -> None:
        transport = AsyncioTransport()
        for other in ("http://api.test", origin):
            await transport.send(request_to(origin), PLENTY)
            transport.close_idle(other)
        await transport.send(request_to(origin), PLENTY)
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 2
