"""Connections live no longer than their transport and their event loop."""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport

Serve = Callable[[Callable[[Peer], object]], HostileServer]


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    kind: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")
    return kind.new_event_loop  # type: ignore[no-any-return]


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Serve:
    context = tls[0] if request.param == "tls" else None
    return lambda script: HostileServer(script, ssl_context=context)


@pytest.fixture
def make(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Callable[[], AsyncioTransport]:
    return lambda: AsyncioTransport(ssl_context=tls[1])


class Answering:
    """A script that answers, and tells when its client has gone."""

    def __init__(self) -> None:
        self.gone = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while peer.read_request():
            peer.send(reply())
        self.gone.set()


def run(new_loop: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, None], **options: Any) -> None:
    """Run in an event loop that complains of all that it is left with."""
    complaints: list[object] = []
    with asyncio.Runner(loop_factory=new_loop, **options) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        runner.run(main)
    gc.collect()  # what is left behind unclosed warns, and warnings are errors
    assert complaints == []


def test_a_transport_that_is_forgotten_closes_its_connections(new_loop: Any, serve: Serve, make: Any) -> None:
    script = Answering()

    async def main() -> None:
        await make().send(request_to(server.origin), PLENTY)
        gc.collect()
        assert await asyncio.to_thread(script.gone.wait, PLENTY)

    with serve(script) as server:
        run(new_loop, main())


def test_a_loop_that_shuts_down_closes_the_connections(new_loop: Any, serve: Serve, make: Any) -> None:
    script = Answering()
    transport = make()

    async def main() -> None:
        await transport.send(request_to(server.origin), PLENTY)

    with serve(script) as server:
        run(new_loop, main(), debug=True)
        assert script.gone.wait(PLENTY)
        run(new_loop, main(), debug=True)


def test_requests_in_flight_end_when_the_loop_shuts_down(new_loop: Any, serve: Serve, make: Any) -> None:
    transport = make()
    asked = threading.Event()
    tasks = []

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        peer.read_request()

    async def main() -> None:
        tasks.append(asyncio.create_task(transport.send(request_to(server.origin), PLENTY)))
        assert await asyncio.to_thread(asked.wait, PLENTY)

    with serve(script) as server:
        run(new_loop, main(), debug=True)
    assert tasks[0].cancelled()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has had eager tasks since 3.12")
def test_eager_tasks_are_served_as_others_are(serve: Serve, make: Any) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        transport = make()
        for _ in range(2):
            sends = [asyncio.create_task(transport.send(request_to(server.origin), PLENTY)) for _ in range(20)]
            assert {answer.status for answer in await asyncio.gather(*sends)} == {200}
        await transport.aclose()

    with serve(always(reply())) as server:
        run(asyncio.new_event_loop, main())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_connections_of_a_closed_loop_are_dropped(new_loop: Any, make: Any) -> None:
    """Even of one that was closed without being shut down, which warns of every connection."""
    transport = make()

    async def main() -> None:
        await transport.send(request_to(server.origin), PLENTY)

    with HostileServer(always(reply())) as server:
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        run(new_loop, main())
        run(new_loop, transport.aclose())
        assert server.connections == 2
