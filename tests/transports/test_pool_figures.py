"""Figures of the connection pools, over real sockets."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airplane_runbooks import PooledTransport, PoolFigures
from airplane_runbooks.testing import FakeTransport
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports.asyncio import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from tests.support.timing import eventually


class SlowServer(HostileServer):
    """A server that answers once it is told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        super().__init__(self._answer)

    def _answer(self, peer: Peer) -> None:
        while peer.read_request():
            self.may_answer.wait(PLENTY)
            peer.send(reply())


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    with SlowServer() as server:
        yield server
        server.may_answer.set()


def shows(transport: PooledTransport, origin: str, figures: PoolFigures) -> Callable[[], bool]:
    return lambda: transport.pool_figures().get(origin) == figures


def test_threads_are_counted_in_use_idle_and_waiting(slow: SlowServer) -> None:
    transport = Urllib3Transport(pool_size=2)
    assert transport.pool_figures() == {}
    with ThreadPoolExecutor(5) as threads:
        sent = [threads.submit(transport.send, request_to(slow.origin), PLENTY) for _ in range(5)]
        eventually(shows(transport, slow.origin, PoolFigures(active=2, waiting=3)))
        slow.may_answer.set()
        assert {answer.result().status for answer in sent} == {200}
    assert transport.pool_figures() == {slow.origin: PoolFigures(idle=2)}
    transport.close_idle(slow.origin)
    assert transport.pool_figures() == {slow.origin: PoolFigures()}
    transport.close()
    assert transport.pool_figures() == {}


async def _show(transport: PooledTransport, origin: str, figures: PoolFigures) -> None:
    await asyncio.to_thread(eventually, shows(transport, origin, figures))


@pytest.mark.parametrize("make", [AsyncioTransport, ThreadedTransport])
def test_async_requests_are_counted_alike(slow: SlowServer, make: Any) -> None:
    transport = make(pool_size=2)
    assert transport.pool_figures() == {}

    async def scenario() -> None:
        sent = [asyncio.create_task(transport.send(request_to(slow.origin), PLENTY)) for _ in range(5)]
        await _show(transport, slow.origin, PoolFigures(active=2, waiting=3))
        sent.pop().cancel()
        await _show(transport, slow.origin, PoolFigures(active=2, waiting=2))
        slow.may_answer.set()
        assert {answer.status for answer in await asyncio.gather(*sent)} == {200}
        await _show(transport, slow.origin, PoolFigures(idle=2))
        await transport.aclose()
        assert transport.pool_figures() == {}

    asyncio.run(scenario())


def test_connections_of_all_event_loops_are_added_up() -> None:
    transport = AsyncioTransport()

    async def send() -> None:
        assert (await transport.send(request_to(server.origin), PLENTY)).status == 200

    with HostileServer(always(reply())) as server:
        with asyncio.Runner() as one:
            one.run(send())
            with asyncio.Runner() as other:
                other.run(send())
                assert transport.pool_figures() == {server.origin: PoolFigures(idle=2)}
            assert transport.pool_figures() == {server.origin: PoolFigures(idle=1)}
        assert transport.pool_figures() == {}


def test_a_connection_that_the_server_has_closed_is_not_idle() -> None:
    transport = AsyncioTransport()
    may_close = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply())
        may_close.wait(PLENTY)

    async def scenario() -> None:
        await transport.send(request_to(server.origin), PLENTY)
        assert transport.pool_figures() == {server.origin: PoolFigures(idle=1)}
        may_close.set()
        await _show(transport, server.origin, PoolFigures())
        await transport.aclose()

    with HostileServer(script) as server:
        asyncio.run(scenario())


def test_threads_over_a_transport_without_pools_tell_nothing() -> None:
    transport = ThreadedTransport(FakeTransport())
    assert transport.pool_figures() == {}
    asyncio.run(transport.aclose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_none_of_its_parents_connections() -> None:
    transport = Urllib3Transport()
    with HostileServer(always(reply())) as server:
        transport.send(request_to(server.origin), PLENTY)
        assert transport.pool_figures() == {server.origin: PoolFigures(idle=1)}
        pid = os.fork()
        if pid == 0:
            before = transport.pool_figures()
            transport.send(request_to(server.origin), PLENTY)
            is_right = (before, transport.pool_figures()) == ({}, {server.origin: PoolFigures(idle=1)})
            os._exit(0 if is_right else 1)
        assert os.waitpid(pid, 0)[1] == 0
    transport.close()
