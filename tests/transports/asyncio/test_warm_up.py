"""Connections that are opened before the first call."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airplane_runbooks import AsyncAirplane, AttemptTimeout, ClientClosed, ConnectError
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.support.timing import eventually


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    kind: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    def run(coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=kind.new_event_loop) as runner:
            runner.run(coroutine)

    return run


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_connections_are_opened_before_the_first_call(
    run: Callable[..., Any], tls: tuple[ssl.SSLContext, ssl.SSLContext], kind: str
) -> None:
    async def main() -> None:
        transport = AsyncioTransport(pool_size=4, ssl_context=tls[1])
        for count in (2, 1, 3, 9):
            await transport.warm_up(server.origin, count, PLENTY)
        sends = [transport.send(request_to(server.origin), PLENTY) for _ in range(20)]
        assert {answer.status for answer in await asyncio.gather(*sends)} == {200}
        await transport.aclose()

    with HostileServer(always(reply()), ssl_context=tls[0] if kind == "tls" else None) as server:
        run(main())
        assert server.connections == 4


def test_a_client_opens_connections_if_its_transport_can(run: Callable[..., Any]) -> None:
    async def main() -> None:
        async with AsyncAirplane("tkn_test", base_url=server.origin) as airplane:
            await airplane.warm_up(3)
        async with AsyncAirplane("tkn_test", base_url=server.origin, transport=ThreadedTransport()) as airplane:
            await airplane.warm_up(3)

    with HostileServer(always(reply())) as server:
        run(main())
        eventually(lambda: server.connections == 3)  # it may accept them later


def test_connections_in_use_are_counted(run: Callable[..., Any]) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        if peer.read_request():
            asked.set()
            may_answer.wait(PLENTY)
            peer.send(reply())

    async def main() -> None:
        transport = AsyncioTransport(pool_size=2)
        send = asyncio.create_task(transport.send(request_to(server.origin), PLENTY))
        await asyncio.to_thread(asked.wait, PLENTY)
        await transport.warm_up(server.origin, 1)
        assert server.connections == 1
        may_answer.set()
        assert (await send).status == 200
        await transport.aclose()

    with HostileServer(script) as server:
        run(main())


def test_a_connection_that_cannot_be_opened_is_an_error(run: Callable[..., Any]) -> None:
    async def main() -> None:
        transport = AsyncioTransport(pool_size=2)
        for _ in range(3):
            with pytest.raises(ConnectError):
                await transport.warm_up(origin, 2, PLENTY)
        await transport.aclose()

    with HostileServer(Peer.stay_silent) as server:
        origin = server.origin
    run(main())


def test_opening_connections_ends_with_the_timeout(run: Callable[..., Any]) -> None:
    async def main() -> None:
        transport = AsyncioTransport()
        with pytest.raises(AttemptTimeout):
            await transport.warm_up(server.origin.replace("http:", "https:"), 3, 0.3)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await transport.aclose()

    with HostileServer(Peer.stay_silent) as server:
        run(main())


def test_closing_ends_the_opening_of_connections(run: Callable[..., Any]) -> None:
    accepted = threading.Event()

    def script(peer: Peer) -> None:
        accepted.set()
        peer.stay_silent()

    async def main() -> None:
        transport = AsyncioTransport()
        opening = asyncio.create_task(transport.warm_up(server.origin.replace("http:", "https:"), 2))
        await asyncio.to_thread(accepted.wait, PLENTY)
        await transport.aclose()
        with pytest.raises(ClientClosed):
            await opening
        with pytest.raises(ClientClosed):
            await transport.warm_up(server.origin)

    with HostileServer(script) as server:
        run(main())


def test_an_idle_connection_on_which_a_server_speaks_is_closed(run: Callable[..., Any]) -> None:
    """It would be taken for the answer to the request that comes next."""
    may_speak = threading.Event()
    spoken = threading.Event()

    def script(peer: Peer) -> None:
        if not spoken.is_set():
            may_speak.wait(PLENTY)
            peer.send(reply(b"early"))
            spoken.set()
        while peer.read_request():
            peer.send(reply(b"asked"))

    async def main() -> None:
        transport = AsyncioTransport()
        await transport.warm_up(server.origin)
        may_speak.set()
        await asyncio.to_thread(spoken.wait, PLENTY)
        await asyncio.sleep(0.1)
        assert (await transport.send(request_to(server.origin), PLENTY)).body == b"asked"
        await transport.aclose()

    with HostileServer(script) as server:
        run(main())
