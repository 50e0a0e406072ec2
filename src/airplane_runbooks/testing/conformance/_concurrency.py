"""Many sends at a time, and event loops one after another."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..hostile import HostileServer, Peer, always, reply
from ._async import AsyncCase, Run
from ._support import PLENTY, request_to, tls


def echo(peer: Peer) -> None:
    """Answer each request with its own body."""
    while request := peer.read_request():
        peer.send(reply(request.partition(b"\r\n\r\n")[2]))


class Concurrency(AsyncCase):
    """Sends that share a transport."""

    def test_many_requests_over_few_connections_get_their_answers(self, run: Run) -> None:
        transport = self.make(pool_size=8)

        async def one(origin: str, number: int) -> None:
            body = b'"%d"' % number
            assert (await transport.send(request_to(origin, body), PLENTY)).body == body

        async def scenario(origin: str) -> None:
            await asyncio.gather(*(one(origin, number) for number in range(300)))
            await transport.aclose()

        with HostileServer(echo) as server:
            run(scenario(server.origin))
            assert server.connections <= 8

    def test_requests_have_their_turns_in_the_order_of_their_coming(self, run: Run) -> None:
        transport = self.make(pool_size=1)
        arrived: list[int] = []

        def script(peer: Peer) -> None:
            while request := peer.read_request():
                arrived.append(int(request.partition(b"\r\n\r\n")[2]))
                peer.send(reply())

        async def scenario(origin: str) -> None:
            await asyncio.gather(*(transport.send(request_to(origin, b"%d" % number), PLENTY) for number in range(60)))
            await transport.aclose()

        with HostileServer(script) as server:
            run(scenario(server.origin))
        assert arrived == list(range(60))

    def test_nobody_starves_beside_those_who_come_again_at_once(self, run: Run) -> None:
        transport = self.make(pool_size=1)
        turns: list[str] = []

        async def insist(origin: str) -> None:
            while "patient" not in turns and len(turns) < 100:
                await transport.send(request_to(origin), PLENTY)
                turns.append("insistent")

        async def scenario(origin: str) -> None:
            await transport.send(request_to(origin), PLENTY)
            insistent = asyncio.create_task(insist(origin))
            await asyncio.sleep(0)
            await transport.send(request_to(origin), PLENTY)
            turns.append("patient")
            await insistent
            await transport.aclose()

        with HostileServer(always(reply())) as server:
            run(scenario(server.origin))
        assert turns.index("patient") < 5

    @pytest.mark.parametrize("kind", ["plain", "tls"])
    def test_event_loops_may_use_a_transport_one_after_another(self, kind: str) -> None:
        server_side, client_side = tls("localhost")
        transport = self.make(pool_size=2, ssl_context=client_side)

        async def scenario(origin: str) -> None:
            answers = await asyncio.gather(*(transport.send(request_to(origin), PLENTY) for _ in range(5)))
            assert {answer.status for answer in answers} == {200}

        with HostileServer(always(reply()), ssl_context=server_side if kind == "tls" else None) as server:
            for _ in range(3):
                with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
                    runner.run(scenario(server.origin))
            with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
                runner.run(transport.aclose())

    def test_event_loops_may_use_a_transport_at_the_same_time(self) -> None:
        transport = self.make(pool_size=2)

        async def scenario(origin: str) -> None:
            for number in range(30):
                body = b'"%d"' % number
                assert (await transport.send(request_to(origin, body), PLENTY)).body == body

        def work(origin: str) -> None:
            with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
                runner.run(scenario(origin))

        with HostileServer(echo) as server:
            with ThreadPoolExecutor(3) as threads:
                for done in [threads.submit(work, server.origin) for _ in range(3)]:
                    done.result()
            with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
                runner.run(transport.aclose())
