"""The transport on asyncio keeps the contract of transports, and what it promises beyond it."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from airplane_runbooks import (
    AttemptTimeout,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    TransportError,
)
from airplane_runbooks.testing.conformance import (
    KEY,
    PLENTY,
    AsyncTransportConformance,
    UnixSocketConformance,
    finishes_within,
    request_to,
)
from airplane_runbooks.testing.conformance._async import LoopThread, Run, SyncFace
from airplane_runbooks.testing.conformance._cancellation import Cancellation
from airplane_runbooks.testing.conformance._concurrency import Concurrency
from airplane_runbooks.testing.hostile import HostileServer, Peer, after_request, always, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.base import _reset_transports as reset_transports
from tests.support.timing import TIMED
from tests.transports.urllib3.test_connections import (  # noqa: F401  # these hold for this transport, too
    serve,
    test_a_body_where_none_may_be_costs_the_connection,
    test_a_dead_address_leaves_time_for_the_next,
    test_a_final_answer_after_an_interim_one_ends_it,
    test_a_host_among_the_headers_gives_way_to_the_origins,
    test_a_large_body_may_take_all_the_time_it_wants,
    test_a_server_that_reads_slowly_does_not_outlast_the_timeout,
    test_a_tls_stream_that_is_cut_off_is_not_the_end_of_a_body,
    test_a_traceback_shows_no_key_that_the_server_repeats,
    test_an_answer_ends_the_sending_of_a_large_body,
    test_an_interim_answer_does_not_end_the_sending,
    test_endless_interim_answers_end_the_sending,
)

pytestmark = TIMED


class TestAsyncioTransport(AsyncTransportConformance, UnixSocketConformance):
    def make(self, **options: Any) -> AsyncioTransport:
        return AsyncioTransport(**options)


@pytest.mark.once
class TestOnUvloop(Cancellation, Concurrency):
    def make(self, **options: Any) -> AsyncioTransport:
        return AsyncioTransport(**options)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return pytest.importorskip("uvloop").new_event_loop()


@pytest.mark.nightly
class TestAllOnUvloop(TestOnUvloop, AsyncTransportConformance, UnixSocketConformance):
    pass


class Face(SyncFace):
    def __init__(self, run: Run, **options: Any) -> None:
        transport = AsyncioTransport(**options)
        super().__init__(transport, run)
        self.prepare = transport.prepare


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=pytest.mark.nightly)])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    kind: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")
    with LoopThread(kind.new_event_loop()) as thread:
        yield thread.run


@pytest.fixture
def transport(run: Run, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Face]:  # a fixture
    """The transport of the tests that come from elsewhere."""
    face = Face(run, ssl_context=tls[1])
    yield face
    face.close()


async def refused(transport: AsyncioTransport, *arguments: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await transport.send(*arguments)
    return caught.value


def test_a_request_has_the_headers_it_was_given_and_no_others() -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        while request := peer.read_request():
            seen.append(request)
            peer.send(reply(headers=b"set-cookie: a=b\r\n"))

    async def scenario(origin: str) -> None:
        transport = AsyncioTransport()
        for _ in range(2):
            await transport.send(request_to(origin, b"{}", "/v0/a%2Fb/../c?q=%20+ü%zz".replace("ü", "%C3%BC")), PLENTY)
        await transport.aclose()

    with HostileServer(script) as server:
        asyncio.run(scenario(server.origin))
    lines = [
        "POST /v0/a%2Fb/../c?q=%20+%C3%BC%zz HTTP/1.1",
        f"host: localhost:{server.port}",
        "content-length: 2",
        "content-type: application/json",
        f"x-airplane-api-key: {KEY}",
    ]
    assert seen == ["\r\n".join([*lines, "", "{}"]).encode()] * 2


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_a_server_that_closes_under_a_large_body_has_lost_it(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],  # a fixture
    kind: str,
) -> None:
    """On uvloop, TLS may keep this to itself until the whole body has left, so there it may be a timeout."""

    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.half_close()
        peer.stay_silent()

    async def scenario(origin: str) -> None:
        transport = AsyncioTransport(ssl_context=tls[1])
        for _ in range(5):
            assert isinstance(await refused(transport, request_to(origin, b"x" * 20_000_000), PLENTY), ConnectionLost)
        await transport.aclose()

    with HostileServer(script, ssl_context=tls[0] if kind == "tls" else None) as server:
        asyncio.run(scenario(server.origin))


@pytest.mark.parametrize("host", ["[::1", "[zz]", "a:b", ""])
def test_a_host_that_no_url_can_have_is_no_connection(host: str) -> None:
    async def scenario() -> None:
        transport = AsyncioTransport()
        error = await refused(transport, request_to(f"http://{host}"), PLENTY)
        assert isinstance(error, ConnectError)
        assert not error.transient
        await transport.aclose()

    asyncio.run(scenario())


def test_the_settings_of_tls_are_built_beforehand() -> None:
    transport = AsyncioTransport(proxy="https://proxy.test")
    transport.prepare("http://localhost")
    assert transport._ssl_context is None
    transport.prepare("http://api.test")
    context = transport._ssl_context
    assert context is not None
    transport.prepare("https://api.test")
    assert transport._ssl_context is context


def test_a_proxy_that_closes_the_tunnel_was_not_sent() -> None:
    async def scenario() -> None:
        transport = AsyncioTransport(proxy=f"http://user:hunter2@localhost:{proxy.port}")
        for _ in range(5):
            error = await refused(transport, request_to("https://api.test"), PLENTY)
            assert isinstance(error, ConnectError)
            shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            assert "hunter2" not in shown
            assert "dXNlcjpodW50ZXIy" not in shown
        await transport.aclose()

    with HostileServer(after_request(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n\r\n"))) as proxy:
        asyncio.run(scenario())


def test_closing_from_another_loop_ends_the_requests_of_this_one() -> None:
    transport = AsyncioTransport()
    asked = threading.Event()
    outcomes: list[ClientClosed] = []

    async def wait(origin: str) -> None:
        with pytest.raises(ClientClosed) as caught:
            await transport.send(request_to(origin), PLENTY)
        outcomes.append(caught.value)

    with HostileServer(after_request(lambda _: asked.set(), Peer.stay_silent)) as server:
        thread = threading.Thread(target=lambda: asyncio.run(wait(server.origin)))
        thread.start()
        asked.wait(PLENTY)
        asyncio.run(transport.aclose())
        thread.join(PLENTY)
        assert [outcome.maybe_processed for outcome in outcomes] == [True]
        asyncio.run(transport.aclose())


def test_a_closed_loop_is_not_asked_to_close_connections() -> None:
    transport = AsyncioTransport()

    async def scenario(origin: str) -> None:
        await transport.send(request_to(origin), PLENTY)

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        asyncio.run(scenario(server.origin))
        assert len(transport._sessions) == 1
        asyncio.run(transport.aclose())
        with pytest.raises(ClientClosed):
            asyncio.run(scenario(server.origin))


def test_a_forked_child_uses_no_connection_of_its_parent() -> None:
    transport = AsyncioTransport()

    async def send(origin: str) -> None:
        assert (await transport.send(request_to(origin), PLENTY)).status == 200

    async def scenario(origin: str) -> None:
        await send(origin)
        pid = os.fork()
        if pid == 0:
            asyncio.events._set_running_loop(None)
            thread = threading.Thread(target=lambda: asyncio.run(send(origin)))
            thread.start()
            thread.join(PLENTY)
            os._exit(0 if server.connections == 1 and not thread.is_alive() else 1)
        assert (await asyncio.to_thread(os.waitpid, pid, 0))[1] == 0
        await send(origin)
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 2


def test_a_transport_that_forgets_its_connections_makes_new_ones() -> None:
    """Reset transports as a fork does in the child."""

    async def scenario(origin: str) -> None:
        transport = AsyncioTransport()
        await transport.send(request_to(origin), PLENTY)
        reset_transports()
        await transport.send(request_to(origin), PLENTY)
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 2


@pytest.mark.parametrize(
    "script",
    [
        Peer.reset,
        after_request(Peer.reset),
        after_request(lambda peer: peer.send(b"garbage")),
        after_request(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"), Peer.reset),
        Peer.stay_silent,
    ],
)
def test_a_traceback_with_local_variables_shows_no_key(script: Any) -> None:
    async def scenario(origin: str) -> str:
        transport = AsyncioTransport()
        transport.prepare(origin)
        error = await refused(transport, request_to(origin), 0.5)
        await transport.aclose()
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    with HostileServer(script) as server:
        shown = asyncio.run(scenario(server.origin))
    assert KEY not in shown
    assert "in send" in shown


def test_name_resolution_does_not_outlast_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: go_on.wait(PLENTY) and [])

    async def scenario() -> None:
        transport = AsyncioTransport()
        with finishes_within(0.3):
            error = await refused(transport, request_to("http://localhost"), 0.3)
        assert isinstance(error, AttemptTimeout)
        assert error.sent is False
        assert len(asyncio.all_tasks()) == 1
        go_on.set()
        await transport.aclose()

    asyncio.run(scenario())
