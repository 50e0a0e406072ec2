"""Sends that end early: cancelled at any turn of the event loop, or by a server that ends the handshake."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any

import pytest

from airplane_runbooks import ConnectError
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.asyncio import AsyncioTransport

LOOPS = ["asyncio", pytest.param("uvloop", marks=pytest.mark.nightly)]
TURNS = 24  # after these, all that is left to do is to wait for the server


def repeat(peer: Peer) -> None:
    while request := peer.read_request():
        peer.send(reply(request.partition(b"\r\n\r\n")[2]))


async def send(transport: AsyncioTransport, origin: str, body: bytes) -> None:
    """Send a request, and see that its own answer comes back."""
    assert (await transport.send(request_to(origin, body), PLENTY)).body == body


def run(library: Any, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=library.new_event_loop) as runner:
        runner.run(main)


@pytest.mark.parametrize("size", [1, 200_000], ids=["in one piece", "in pieces"])
@pytest.mark.parametrize("begins", ["connects", "reuses"])
@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("loop_kind", LOOPS)
def test_a_send_may_be_cancelled_at_any_turn_of_the_loop(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],  # a fixture
    loop_kind: str,
    kind: str,
    begins: str,
    size: int,
) -> None:
    library: Any = asyncio if loop_kind == "asyncio" else pytest.importorskip("uvloop")

    async def scenario(origin: str) -> None:
        transport = AsyncioTransport(pool_size=1, ssl_context=tls[1])
        for turn in range(TURNS):
            if begins == "connects":
                transport.close_idle(origin)
            task = asyncio.ensure_future(send(transport, origin, b"%d" % turn * size))
            for _ in range(turn):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            await send(transport, origin, b"after %d" % turn)  # with the only place in the pool
        await transport.aclose()

    with HostileServer(repeat, ssl_context=tls[0] if kind == "tls" else None) as server:
        run(library, scenario(server.origin))


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
def test_the_end_of_a_handshake_is_told_by_name(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],  # a fixture
    loop_kind: str,
) -> None:
    """The exception of the event loop has no message then."""
    library: Any = asyncio if loop_kind == "asyncio" else pytest.importorskip("uvloop")

    async def scenario(origin: str) -> None:
        transport = AsyncioTransport(ssl_context=tls[1])
        with pytest.raises(ConnectError, match=r"^no connection to localhost:\d+: Connection\w+Error$") as caught:
            await transport.send(request_to(origin.replace("http:", "https:")), PLENTY)
        assert (caught.value.sent, caught.value.transient) == (False, True)
        await transport.aclose()

    with HostileServer(lambda peer: peer.sock.recv(10_000) and None) as server:
        run(library, scenario(server.origin))
