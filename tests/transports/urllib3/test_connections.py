"""Connections of the default transport, beyond the contract of transports."""

from __future__ import annotations

import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest

from airplane_runbooks import (
    AirplaneError,
    AttemptTimeout,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    Request,
    TransportError,
)
from airplane_runbooks.testing.conformance import KEY, ONE_WILL_DO, PLENTY, request_to, times_out
from airplane_runbooks.testing.hostile import HostileServer, Peer, Script, after_request, always, reply
from airplane_runbooks.transports._deadline import Deadline
from airplane_runbooks.transports.urllib3 import _routes as routes
from airplane_runbooks.transports.urllib3._routes import _Relay as Relay
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport
from tests.support.timing import TIMED

pytestmark = TIMED

LARGE = b"x" * 20_000_000


@pytest.fixture
def transport(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Urllib3Transport]:
    transport = Urllib3Transport(ssl_context=tls[1])
    yield transport
    transport.close()


@pytest.fixture(params=["plain", "tls"])
def serve(
    request: pytest.FixtureRequest, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> Callable[[Script], HostileServer]:
    """Start a server, with and without TLS."""
    context = tls[0] if request.param == "tls" else None
    return lambda script: HostileServer(script, ssl_context=context)


Serve = Callable[[Script], HostileServer]


def test_an_answer_ends_the_sending_of_a_large_body(transport: Urllib3Transport, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(reply(b"too large", status="413 Too Large"))
        peer.stay_silent()

    with serve(script) as server:
        assert transport.send(request_to(server.origin, LARGE), PLENTY).body == b"too large"


def test_an_interim_answer_does_not_end_the_sending(transport: Urllib3Transport, serve: Serve) -> None:
    arrived: list[int] = []

    def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        while request := peer.read_request():
            arrived.append(len(request))
            peer.send(reply(b"1"))

    with serve(script) as server:
        for _ in range(2):
            assert transport.send(request_to(server.origin, LARGE), PLENTY).body == b"1"
        assert server.connections == 1
    assert min(arrived) > len(LARGE)


def test_a_final_answer_after_an_interim_one_ends_it(transport: Urllib3Transport, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        peer.send(reply(b"no", status="413 Too Large"))
        peer.stay_silent()

    with serve(script) as server:
        assert transport.send(request_to(server.origin, LARGE), PLENTY).status == 413


def test_endless_interim_answers_end_the_sending(transport: Urllib3Transport, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000)
        peer.stay_silent()

    with serve(script) as server, pytest.raises(TransportError, match="head of the response is larger"):
        transport.send(request_to(server.origin, LARGE), PLENTY)


def test_a_server_that_closes_under_a_large_body_has_lost_it(transport: Urllib3Transport, serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.half_close()
        peer.stay_silent()

    with serve(script) as server, pytest.raises(ConnectionLost):
        transport.send(request_to(server.origin, LARGE), PLENTY)


def test_a_server_that_reads_slowly_does_not_outlast_the_timeout(transport: Urllib3Transport, serve: Serve) -> None:
    slowly = threading.Event()

    def script(peer: Peer) -> None:
        while not slowly.wait(0.1):
            peer.sock.recv(100_000)

    with serve(script) as server:
        transport.prepare(server.origin)
        request = request_to(server.origin, LARGE)
        assert any("sending" in str(times_out(transport, request, timeout)) for timeout in ONE_WILL_DO)
        slowly.set()


def test_a_large_body_may_take_all_the_time_it_wants(transport: Urllib3Transport, serve: Serve) -> None:
    with serve(always(reply(b"1"))) as server:
        assert transport.send(request_to(server.origin, LARGE), None).body == b"1"


def test_a_tls_stream_that_is_cut_off_is_not_the_end_of_a_body(
    transport: Urllib3Transport, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """Anybody on the way can close a connection; only the server can say that it has said all."""

    def part(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\npart")

    def whole(peer: Peer) -> None:
        part(peer)
        peer.sock = peer.sock.unwrap()  # type: ignore[attr-defined]  # of TLS sockets

    with HostileServer(after_request(part), ssl_context=tls[0]) as server:
        with pytest.raises(ConnectionLost) as caught:
            transport.send(request_to(server.origin), PLENTY)
        assert caught.value.status == 200
    with HostileServer(after_request(whole), ssl_context=tls[0]) as server:
        assert transport.send(request_to(server.origin), PLENTY).body == b"part"


def test_a_body_where_none_may_be_costs_the_connection(transport: Urllib3Transport, serve: Serve) -> None:
    raw = b"HTTP/1.1 204 No Content\r\ncontent-length: %d\r\n\r\n" % len(reply(b"evil"))
    with serve(always(raw)) as server:
        for _ in range(2):
            assert transport.send(request_to(server.origin), PLENTY).body == b""
        assert server.connections == 2


def test_closing_turns_away_requests_that_wait_for_a_connection() -> None:
    transport = Urllib3Transport(pool_size=1)
    asked = threading.Event()
    errors: list[BaseException] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        peer.stay_silent()

    def send(origin: str) -> None:
        try:
            transport.send(request_to(origin), None)
        except AirplaneError as error:
            errors.append(error)

    with HostileServer(script) as server:
        holder = threading.Thread(target=send, args=(server.origin,))
        holder.start()
        asked.wait(PLENTY)
        waiter = threading.Thread(target=send, args=(server.origin,))
        waiter.start()
        transport.close()
        waiter.join(PLENTY)
        assert [type(error) for error in errors] == [ClientClosed]
    holder.join(PLENTY)
    assert isinstance(errors[1], ConnectionLost)


def answer_within(transport: Urllib3Transport, request: Request, timeout: float) -> bytes | None:
    """Return the answer, unless the time is too short for one."""
    try:
        return transport.send(request, timeout).body
    except AttemptTimeout:
        return None


def test_a_dead_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch, transport: Urllib3Transport) -> None:
    """A listener whose backlog is full drops further handshakes, as a firewall does."""
    with HostileServer(always(reply(b"1"))) as server, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        dead.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(dead.getsockname())
        addresses = [dead.getsockname(), ("127.0.0.1", server.port)]
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in addresses]
        )
        answers = (answer_within(transport, request_to(server.origin), timeout) for timeout in ONE_WILL_DO)
        assert any(answer == b"1" for answer in answers)
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("host", ["[::1", "[zz]", "a:b", "%zz", ""])
def test_a_host_that_no_url_can_have_is_no_connection(transport: Urllib3Transport, host: str) -> None:
    with pytest.raises(ConnectError) as caught:
        transport.send(request_to(f"http://{host}"), PLENTY)
    assert not caught.value.transient


def test_each_read_through_a_tls_proxy_minds_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"more")
        with pytest.raises(TimeoutError):
            Relay(ours, Deadline(-1)).recv(4)  # type: ignore[arg-type]  # any socket will do


def echo(before: bytes, after: bytes) -> Script:
    """Repeat the request, on one line, between these bytes."""
    return lambda peer: peer.send(before + peer.read_request().replace(b"\r\n", b"|") + after)


@pytest.mark.parametrize(
    "script",
    [
        echo(b"", b"\r\n\r\n"),
        echo(b"HTTP/1.1 200 OK\r\nx: ", b"\r\nbroken\r\n\r\n"),
        echo(b"HTTP/1.1 200 OK\r\nx: ", b"\r\ncontent-length: 9\r\n\r\n"),
        echo(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b""),
        echo(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n", b""),
        echo(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", b""),
        echo(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"\r\n"),
        echo(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;", b"\r\nabc\r\n"),
        echo(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", b""),
    ],
)
def test_a_traceback_shows_no_key_that_the_server_repeats(transport: Urllib3Transport, script: Script) -> None:
    with HostileServer(script) as server, pytest.raises(TransportError) as caught:
        transport.send(request_to(server.origin), PLENTY)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert KEY not in shown


def test_a_host_among_the_headers_gives_way_to_the_origins(transport: Urllib3Transport) -> None:
    with HostileServer(lambda peer: peer.send(reply(peer.read_request()))) as server:
        seen = transport.send(request_to(server.origin, headers={"Host": "elsewhere.test"}), PLENTY).body.lower()
    assert seen.count(b"\r\nhost: ") == 1
    assert b"elsewhere" not in seen


def test_a_body_may_say_that_it_is_not_coded(transport: Urllib3Transport) -> None:
    with HostileServer(always(reply(b"1", headers=b"content-encoding: identity\r\n"))) as server:
        assert transport.send(request_to(server.origin), PLENTY).body == b"1"


def test_an_interrupt_while_connecting_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    transport = Urllib3Transport(pool_size=1)
    with HostileServer(always(reply(b"1"))) as server:
        monkeypatch.setattr(routes, "tune", interrupt)
        with pytest.raises(KeyboardInterrupt):
            transport.send(request_to(server.origin), PLENTY)
        monkeypatch.undo()
        assert transport.send(request_to(server.origin), PLENTY).body == b"1"
    transport.close()
