"""Connections of the transport on aiohttp, beyond the contract of transports."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from airplane_runbooks import ConnectionLost
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.aiohttp._connection import Exchange, HTTP11Connection
from airplane_runbooks.transports.aiohttp._connector import ConnectSpec, _secured
from airplane_runbooks.transports.aiohttp._transport import AiohttpTransport


def test_a_reused_connection_does_not_cause_a_second_attempt() -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(reply())
        seen.append(peer.read_request())

    async def scenario(origin: str) -> None:
        transport = AiohttpTransport()
        await transport.send(request_to(origin, None), PLENTY)
        with pytest.raises(ConnectionLost) as caught:
            await transport.send(request_to(origin, None), PLENTY)
        assert caught.value.sent is None
        await transport.aclose()

    with HostileServer(script) as server:
        asyncio.run(scenario(server.origin))
    assert len(seen) == 2


@pytest.mark.parametrize("wait", ["asleep", "busy"])
def test_what_arrives_between_requests_costs_the_connection(wait: str) -> None:
    """The loop reads it while it has nothing to do; if it was busy, the bytes are still in the socket."""

    taken, late = threading.Semaphore(0), threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(reply(b"good"))
            taken.acquire(timeout=PLENTY)
            peer.send(reply(b"evil"))
            late.release()

    async def scenario(origin: str) -> None:
        transport = AiohttpTransport()
        for _ in range(3):
            assert (await transport.send(request_to(origin), PLENTY)).body == b"good"
            taken.release()
            if wait == "asleep":
                await asyncio.to_thread(late.acquire)
                await asyncio.sleep(0.1)
            else:
                late.acquire()
                time.sleep(0.1)  # noqa: ASYNC251  # to block the loop is what this is about
        await transport.aclose()

    with HostileServer(script) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 3


def test_a_server_that_answers_before_it_is_asked_is_heard() -> None:
    """As one that is overloaded may do, with a 503."""

    def script(peer: Peer) -> None:
        peer.send(reply(status="503 Service Unavailable", headers=b"connection: close\r\n"))
        peer.stay_silent()

    async def scenario(origin: str) -> None:
        transport = AiohttpTransport()
        for _ in range(20):  # before and after the request has left
            assert (await transport.send(request_to(origin), PLENTY)).status == 503
        await transport.aclose()

    with HostileServer(script) as server:
        asyncio.run(scenario(server.origin))


def test_early_bytes_are_read_first() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(lambda: HTTP11Connection(loop), "127.0.0.1", server.port)
        wire.data_received(reply(b"early"))
        exchange = Exchange(loop, 100)
        await wire.carry(exchange, "GET", "/", {}, None)
        assert exchange.result().body == b"early"
        transport.abort()
        await asyncio.sleep(0)

    with HostileServer(Peer.stay_silent) as server:
        asyncio.run(scenario())


def test_a_connection_that_was_closed_at_once_sends_nothing() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionLost) as caught:
            await HTTP11Connection(loop).carry(Exchange(loop, 100), "GET", "/", {}, None)
        assert caught.value.sent is False

    asyncio.run(scenario())


def test_a_tunnel_closed_before_its_use_is_a_connect_error() -> None:
    async def scenario() -> None:
        with pytest.raises(ConnectionResetError, match="the proxy closed"):
            await _secured(HTTP11Connection(asyncio.get_running_loop()), ConnectSpec("https://api.test", None, None))

    asyncio.run(scenario())
