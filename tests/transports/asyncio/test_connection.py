"""Connections of the transport on asyncio, beyond the contract of transports."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, cast

import pytest

from airplane_runbooks import AttemptTimeout, ConnectionLost, Request
from airplane_runbooks.http import Headers
from airplane_runbooks.testing.conformance import PLENTY, finishes_within, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.asyncio import _connection
from airplane_runbooks.transports.asyncio._connecting import Route
from airplane_runbooks.transports.asyncio._connecting import _Peer as Peered
from airplane_runbooks.transports.asyncio._connecting import _start_tls as start_tls
from airplane_runbooks.transports.asyncio._connection import Connection
from airplane_runbooks.transports.asyncio._exchange import Exchange
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport


def test_a_reused_connection_does_not_cause_a_second_attempt() -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(reply())
        seen.append(peer.read_request())

    async def scenario(origin: str) -> None:
        transport = AsyncioTransport()
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
        transport = AsyncioTransport()
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
        transport = AsyncioTransport()
        for _ in range(20):  # before and after the request has left
            assert (await transport.send(request_to(origin), PLENTY)).status == 503
        await transport.aclose()

    with HostileServer(script) as server:
        asyncio.run(scenario(server.origin))


async def connected(server: HostileServer) -> Connection:
    return await Route(f"http://127.0.0.1:{server.port}", None, None).connect()


async def carry(connection: Connection, exchange: Exchange, target: str = "/") -> None:
    request = Request(method="GET", origin="", target=target, headers=Headers(), body=None)
    await connection.carry(exchange, request, "127.0.0.1")
    connection.end(exchange)


def test_early_bytes_are_read_first() -> None:
    async def scenario() -> None:
        connection = await connected(server)
        connection.data_received(reply(b"early"))
        exchange = Exchange(asyncio.get_running_loop(), 100)
        await carry(connection, exchange)
        assert exchange.result().body == b"early"
        connection.abort()
        await connection.lost

    with HostileServer(Peer.stay_silent) as server:
        asyncio.run(scenario())


def test_endless_early_bytes_cost_the_connection() -> None:
    async def scenario() -> None:
        connection = await connected(server)
        with finishes_within(PLENTY):
            await connection.lost
        assert connection.is_stale

    with HostileServer(lambda peer: peer.send(b"x" * 5_000_000)) as server:
        asyncio.run(scenario())


def test_a_connection_that_was_closed_at_once_sends_nothing() -> None:
    async def scenario() -> None:
        connection = await connected(server)
        connection.abort()
        with pytest.raises(ConnectionLost) as caught:
            await carry(connection, Exchange(asyncio.get_running_loop(), 100))
        assert caught.value.sent is False
        await connection.lost

    with HostileServer(Peer.stay_silent) as server:
        asyncio.run(scenario())


def test_one_timer_serves_the_deadlines_of_all_exchanges() -> None:
    """It may ring for an exchange that has ended, for one that has more time, or for none."""

    async def scenario() -> None:
        connection = await connected(server)
        loop = asyncio.get_running_loop()
        for seconds in (30.0, 60.0, 0.5, None):
            deadline = None if seconds is None else time.monotonic() + seconds
            exchange = Exchange(loop, 100, deadline)
            await carry(connection, exchange)
            assert exchange.result().status == 200
        await asyncio.sleep(0.6)
        exchange = Exchange(loop, 100, time.monotonic() + 0.2)
        slow = asyncio.create_task(carry(connection, exchange, "/slow"))
        await asyncio.sleep(0)
        exchange.deadline = time.monotonic() + 0.4
        await slow
        with pytest.raises(AttemptTimeout):
            exchange.result()
        assert time.monotonic() >= exchange.deadline
        connection.abort()
        await connection.lost

    def script(peer: Peer) -> None:
        while b"/slow" not in peer.read_request():
            peer.send(reply())
        peer.stay_silent()

    with HostileServer(script) as server:
        asyncio.run(scenario())


@pytest.mark.parametrize("has_poll", [True, False])
def test_a_connection_that_the_server_ended_is_stale(monkeypatch: pytest.MonkeyPatch, has_poll: bool) -> None:
    """Even before the loop has had the time to notice."""
    if not has_poll:
        monkeypatch.delattr("select.poll")

    async def scenario() -> None:
        connection = await connected(server)
        loop = asyncio.get_running_loop()
        await carry(connection, Exchange(loop, 100))
        give_up = time.monotonic() + PLENTY
        assert not connection.is_stale
        may_close.set()
        while not connection.is_stale and time.monotonic() < give_up:
            time.sleep(0.01)  # noqa: ASYNC251  # to keep the loop busy is what this is about
        assert connection.is_stale
        connection.abort()
        await connection.lost

    may_close = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply())
        may_close.wait(PLENTY)

    with HostileServer(script) as server:
        asyncio.run(scenario())


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=pytest.mark.nightly)])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    kind: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    def run(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=kind.new_event_loop) as runner:
            runner.run(scenario)

    return run


async def send_large(server: HostileServer, has_ended: threading.Event) -> Exchange:
    """Send a large body to a server that ends the connection right after we have looked for an answer."""
    connection = await connected(server)
    connection._is_readable = lambda: not has_ended.wait(PLENTY)
    exchange = Exchange(asyncio.get_running_loop(), 100_000, time.monotonic() + PLENTY)
    request = Request(method="POST", origin="", target="/", headers=Headers(), body=b"x" * 1_000_000)
    await connection.carry(exchange, request, "127.0.0.1")
    assert not connection.end(exchange)
    with finishes_within(PLENTY):
        connection.abort()
        await connection.lost
    return exchange


def ending(answer: bytes) -> tuple[Callable[[Peer], None], threading.Event]:
    """Return the script of a server that answers the first byte and resets the connection, and the sign that it has."""
    has_ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.sock.recv(1)
        peer.send(answer)
        peer.sock.close()  # with bytes unread, which resets the connection
        has_ended.set()

    return script, has_ended


@pytest.mark.parametrize("size", [9, 90_000])
def test_an_answer_is_read_though_a_later_write_fails(run: Callable[[Any], None], size: int) -> None:
    async def scenario() -> None:
        exchange = await send_large(server, has_ended)
        assert (exchange.result().status, len(exchange.result().body)) == (413, size)

    script, has_ended = ending(reply(b"x" * size, status="413 Too Large"))
    with HostileServer(script) as server:
        run(scenario())


@pytest.mark.parametrize(
    "answer",
    [b"", reply(b"too large")[:-1], b"HTTP/1.1 413 Too Large\r\nconnection: close\r\n\r\nuntil the end"],
    ids=["none", "short", "of no length"],
)
def test_an_answer_that_may_be_cut_short_is_none(run: Callable[[Any], None], answer: bytes) -> None:
    async def scenario() -> None:
        exchange = await send_large(server, has_ended)
        with pytest.raises(ConnectionLost, match="the connection broke while"):
            exchange.result()

    script, has_ended = ending(answer)
    with HostileServer(script) as server:
        run(scenario())


def test_no_answer_is_read_from_a_broken_tls_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        connection, exchange = Connection(loop, ends[0]), Exchange(loop, 100)
        connection.connection_made(cast(Any, Sender(tls=object())))
        ends[1].send(reply())
        carried = asyncio.ensure_future(carry(connection, exchange))
        await asyncio.sleep(0)
        connection.connection_lost(ConnectionResetError())
        await carried
        with pytest.raises(ConnectionLost):
            exchange.result()

    asyncio.run(scenario())


def test_the_rest_of_a_broken_connection_is_read_in_bounds(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        connection, exchange = Connection(loop, ends[0]), Exchange(loop, 100)
        connection.connection_made(cast(Any, Sender()))
        carried = asyncio.ensure_future(carry(connection, exchange))
        await asyncio.sleep(0)
        monkeypatch.setattr(_connection, "_PIECE", 1)
        monkeypatch.setattr(_connection, "_MOST_PIECES", 2)
        ends[1].send(reply())
        connection.connection_lost(ConnectionResetError())
        await carried
        assert ends[0].recv(3) == b"TP/"
        with pytest.raises(ConnectionLost):
            exchange.result()

    asyncio.run(scenario())


class Sender:
    """Transport of the loop's that notes whether it was aborted."""

    is_aborted = False

    def __init__(self, tls: object = None) -> None:
        self._tls = tls

    def get_extra_info(self, _: str) -> object:
        """Return what it has of TLS."""
        return self._tls

    def abort(self) -> None:
        self.is_aborted = True

    def write(self, data: bytes) -> None:
        """Send nothing."""

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_a_server_says_unasked_costs_a_connection_at_rest(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        connection, sender = Connection(asyncio.get_running_loop(), ends[0]), Sender()
        connection.connection_made(cast(Any, sender))
        connection.data_received(b"HTTP/1.1 503 Service Unavailable\r\n")
        connection.rest()
        assert (sender.is_aborted, connection.is_stale) == (True, True)

    asyncio.run(scenario())


def test_what_the_loop_tells_twice_or_late_changes_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        connection, exchange = Connection(loop, ends[0]), Exchange(loop, 0)
        connection.resume_writing()
        connection.connection_lost(None)
        connection.connection_lost(None)
        assert connection.lost.done()
        exchange.lose(EOFError())
        exchange.expire()
        with pytest.raises(ConnectionLost):
            exchange.result()

    asyncio.run(scenario())


def test_a_warmed_connection_lets_the_loop_read_what_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        connection = Connection(asyncio.get_running_loop(), ends[0])
        connection.connection_made(cast(Any, Sender()))
        ends[1].send(b"a ticket")
        turns: list[int] = []
        asyncio.get_running_loop().call_soon(turns.append, 1)
        await connection._read_tickets()
        assert turns == [1]

    asyncio.run(scenario())


def test_a_used_connection_is_not_renewed_by_a_rest(ends: tuple[socket.socket, socket.socket]) -> None:
    """Opening connections beforehand passes by those that are idle already."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        connection, exchange = Connection(loop, ends[0]), Exchange(loop, 100)
        connection.connection_made(cast(Any, Sender(tls=object())))
        carried = asyncio.ensure_future(carry(connection, exchange))
        await asyncio.sleep(0)
        connection.data_received(reply())
        await carried
        used = connection.used
        connection.rest()
        assert (connection.used, connection.is_stale) == (used, False)
        ends[1].send(b"unasked")
        assert connection.is_stale

    asyncio.run(scenario())


def test_a_tunnel_that_is_gone_before_its_tls_is_an_error(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = Peered("localhost", 443, ssl.create_default_context())
        with pytest.raises(ConnectionResetError, match="closed the tunnel"):
            await start_tls(loop, Connection(loop, ends[0]), server)

    asyncio.run(scenario())
