"""A cancelled send leaves nothing behind, wherever it was cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ...errors import ClientClosed
from ...http import AsyncTransport, Request
from ..hostile import HostileServer, Peer, always, reply
from ._async import AsyncCase, Run
from ._support import PLENTY, finishes_within, request_to, tls


class Stalling:
    """A script that stops half-way, and then waits for the end of the connection."""

    def __init__(self, *actions: Callable[[Peer], object]) -> None:
        self._actions = actions
        self.stalled = threading.Semaphore(0)
        self.released = threading.Event()
        self.ended = threading.Semaphore(0)

    def __call__(self, peer: Peer) -> None:
        for action in self._actions:
            action(peer)
        self.stalled.release()
        self.released.wait(PLENTY)
        with contextlib.suppress(OSError):
            while peer.sock.recv(1_000_000):
                pass
        self.ended.release()

    def has_ended(self, times: int) -> bool:
        """Release the server, and tell whether so many connections end."""
        self.released.set()
        return all(self.ended.acquire(timeout=PLENTY) for _ in range(times))


def answer_half(peer: Peer) -> None:
    """Send the first half of an answer."""
    peer.send(reply(b"x" * 100)[:-50])


async def cancel_on_the_way(transport: AsyncTransport, request: Request, script: Stalling | None = None) -> None:
    """Send a request, cancel it when it has come as far as it can, and see it end at once."""
    task = asyncio.create_task(transport.send(request, PLENTY))
    if script is not None:
        await asyncio.to_thread(script.stalled.acquire, timeout=PLENTY)
    await asyncio.sleep(0.2)
    task.cancel()
    with finishes_within(0), pytest.raises(asyncio.CancelledError):
        await task


class Cancellation(AsyncCase):
    """Sends that are cancelled, one by one, or all at once when the transport is closed."""

    @pytest.fixture
    def good(self) -> Iterator[HostileServer]:
        """Yield a server that behaves."""
        with HostileServer(always(reply())) as server:
            yield server

    @pytest.mark.parametrize("kind", ["plain", "tls"])
    @pytest.mark.parametrize(
        ("actions", "size"),
        [([], 20_000_000), ([Peer.read_request], 1), ([Peer.read_request, answer_half], 1)],
        ids=["sending", "waiting for the head", "reading the body"],
    )
    def test_a_cancelled_request_frees_its_place_in_the_pool(
        self, run: Run, good: HostileServer, kind: str, actions: list[Callable[[Peer], object]], size: int
    ) -> None:
        server_side, client_side = tls("localhost")
        transport = self.make(pool_size=1, ssl_context=client_side)
        script = Stalling(*actions)

        async def scenario(origin: str) -> None:
            for _ in range(2):  # the second would not get that far if the first still had the place
                await cancel_on_the_way(transport, request_to(origin, b"x" * size), script)
                assert (await transport.send(request_to(good.origin), PLENTY)).status == 200

        with HostileServer(script, ssl_context=server_side if kind == "tls" else None) as server:
            run(scenario(server.origin))
            assert script.has_ended(2)
            run(transport.aclose())

    def test_a_handshake_is_cancelled(self, run: Run, good: HostileServer) -> None:
        transport = self.make(pool_size=1)
        script = Stalling()

        async def scenario(origin: str) -> None:
            for _ in range(2):
                await cancel_on_the_way(transport, request_to(origin.replace("http:", "https:")), script)
                assert (await transport.send(request_to(good.origin), PLENTY)).status == 200

        with HostileServer(script) as server:
            run(scenario(server.origin))
            assert script.has_ended(2)
            run(transport.aclose())

    def test_connecting_is_cancelled(self, run: Run, good: HostileServer) -> None:
        """A listener whose backlog is full drops further handshakes, as a firewall does."""
        transport = self.make(pool_size=1)

        async def scenario(port: int) -> None:
            await cancel_on_the_way(transport, request_to(f"http://127.0.0.1:{port}"))
            assert (await transport.send(request_to(good.origin), PLENTY)).status == 200
            await transport.aclose()

        with socket.socket() as dead, contextlib.ExitStack() as stack:
            dead.bind(("127.0.0.1", 0))
            dead.listen(0)
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0)
                filler.connect_ex(dead.getsockname())
            run(scenario(dead.getsockname()[1]))

    def test_a_request_cancelled_in_the_queue_is_never_sent(self, run: Run) -> None:
        transport = self.make(pool_size=1)
        seen: list[bytes] = []
        asked, may_answer = threading.Semaphore(0), threading.Event()

        def script(peer: Peer) -> None:
            while request := peer.read_request():
                seen.append(request.partition(b"\r\n\r\n")[2])
                asked.release()
                may_answer.wait(PLENTY)
                peer.send(reply())

        async def scenario(origin: str) -> None:
            first = asyncio.create_task(transport.send(request_to(origin, b"1"), PLENTY))
            await asyncio.to_thread(asked.acquire)
            second = asyncio.create_task(transport.send(request_to(origin, b"2"), PLENTY))
            third = asyncio.create_task(transport.send(request_to(origin, b"3"), PLENTY))
            await asyncio.sleep(0.1)
            second.cancel()
            with finishes_within(0), pytest.raises(asyncio.CancelledError):
                await second
            may_answer.set()
            assert [(await task).status for task in (first, third)] == [200, 200]
            await transport.aclose()

        with HostileServer(script) as server:
            run(scenario(server.origin))
        assert seen == [b"1", b"3"]

    def test_cancelled_requests_leave_no_answer_to_others(self, run: Run) -> None:
        transport = self.make(pool_size=4)
        chance = random.Random(1)  # noqa: S311  # no secret

        def script(peer: Peer) -> None:
            while request := peer.read_request():
                peer.send(reply(request.partition(b"\r\n\r\n")[2]))

        async def one(origin: str, number: int) -> None:
            body = b'"%d"' % number
            try:
                async with asyncio.timeout(chance.choice([0.001, 0.003, 0.01, PLENTY])):
                    assert (await transport.send(request_to(origin, body), PLENTY)).body == body
            except TimeoutError:
                pass

        async def scenario(origin: str) -> None:
            for start in range(0, 240, 12):
                await asyncio.gather(*(one(origin, start + number) for number in range(12)))
            answers = await asyncio.gather(*(transport.send(request_to(origin, b"1"), PLENTY) for _ in range(12)))
            assert {answer.body for answer in answers} == {b"1"}
            await transport.aclose()

        with HostileServer(script) as server:
            run(scenario(server.origin))

    @pytest.mark.parametrize("kind", ["plain", "tls"])
    def test_closing_ends_all_requests_and_their_connections(self, run: Run, kind: str) -> None:
        server_side, client_side = tls("localhost")
        transport = self.make(pool_size=3, ssl_context=client_side)
        asked = threading.Semaphore(0)
        script = Stalling(Peer.read_request, lambda _: asked.release())

        async def scenario(origin: str) -> None:
            sends = [asyncio.create_task(transport.send(request_to(origin), PLENTY)) for _ in range(6)]
            for _ in range(3):
                await asyncio.to_thread(asked.acquire)
            with finishes_within(0):
                await transport.aclose()
                outcomes = await asyncio.gather(*sends, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {ClientClosed}
            told = [outcome.maybe_processed for outcome in outcomes if isinstance(outcome, ClientClosed)]
            assert sum(told) >= 3, "the server has read three of the requests, and may have acted on them"
            with pytest.raises(ClientClosed):
                await transport.send(request_to(origin), PLENTY)
            await transport.aclose()

        with HostileServer(script, ssl_context=server_side if kind == "tls" else None) as server:
            run(scenario(server.origin))
            assert script.has_ended(3)
