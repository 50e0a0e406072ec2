"""The default transport keeps the contract of transports, and what it promises beyond it."""

from __future__ import annotations

import os
import socket
import threading
import traceback
from typing import Any

import pytest

from airplane_runbooks import AttemptTimeout, ClientClosed, ConnectError, TransportError
from airplane_runbooks.testing.conformance import (
    KEY,
    PLENTY,
    AsyncTransportConformance,
    DeadlineMissed,
    TransportConformance,
    UnixSocketConformance,
    finishes_within,
    request_to,
    times_out,
)
from airplane_runbooks.testing.hostile import HostileServer, Peer, after_request, always, reply
from airplane_runbooks.transports.base import _reset_transports as reset_transports
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport
from tests.support.timing import TIMED

pytestmark = TIMED


class TestUrllib3Transport(TransportConformance, UnixSocketConformance):
    def make(self, **options: Any) -> Urllib3Transport:
        return Urllib3Transport(**options)


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
    transport = Urllib3Transport()
    with HostileServer(script) as server:
        transport.prepare(server.origin)
        with pytest.raises(TransportError) as caught:
            transport.send(request_to(server.origin), 0.5)
    transport.close()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert KEY not in shown
    assert "send_by" in shown


def test_a_refused_connection_shows_no_key_either() -> None:
    with HostileServer(Peer.stay_silent) as server:
        request = request_to(server.origin)
    with pytest.raises(ConnectError) as caught:
        Urllib3Transport().send(request, PLENTY)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert KEY not in shown


def test_a_forked_child_uses_no_connection_of_its_parent() -> None:
    transport = Urllib3Transport()
    with HostileServer(always(reply())) as server:
        transport.send(request_to(server.origin), PLENTY)
        assert server.connections == 1
        pid = os.fork()
        if pid == 0:
            status = transport.send(request_to(server.origin), PLENTY).status
            os._exit(0 if status == 200 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        transport.send(request_to(server.origin), PLENTY)
        assert server.connections == 2
    transport.close()


def test_a_transport_that_forgets_its_connections_makes_new_ones() -> None:
    """Reset transports as a fork does in the child."""
    transport = Urllib3Transport()
    with HostileServer(always(reply())) as server:
        transport.send(request_to(server.origin), PLENTY)
        reset_transports()
        transport.send(request_to(server.origin), PLENTY)
        assert server.connections == 2
    transport.close()


def test_an_answer_is_taken_before_the_request_is_fully_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    send = socket.socket.sendall

    def break_off(*_: Any) -> None:
        raise BrokenPipeError

    def sendall(*arguments: Any) -> None:
        (break_off if threading.current_thread() is threading.main_thread() else send)(*arguments)

    def script(peer: Peer) -> None:
        peer.send(reply(status="413 Too Large"))
        peer.stay_silent()

    monkeypatch.setattr(socket.socket, "sendall", sendall)
    transport = Urllib3Transport()
    with HostileServer(script) as server:
        assert transport.send(request_to(server.origin), PLENTY).status == 413
    transport.close()


def test_the_conformance_test_says_how_long_it_took_what_is_late() -> None:
    with finishes_within(10):
        pass
    with pytest.raises(DeadlineMissed, match=r"took \d+\.\d{3} s"), finishes_within(-100):
        pass


@pytest.mark.parametrize("case", [TransportConformance, AsyncTransportConformance])
def test_the_conformance_test_wants_to_know_what_to_test(case: Any) -> None:
    with pytest.raises(NotImplementedError):
        case().make()


def test_addresses_are_tried_in_turn_within_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address refuses, the second answers; all of them together get no more than the timeout."""
    with HostileServer(always(reply())) as server, socket.create_server(("127.0.0.1", 0)) as other:
        dead = other.getsockname()[1]
        other.close()
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", dead)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: addresses)
        transport = Urllib3Transport()
        assert transport.send(request_to(server.origin), PLENTY).status == 200
        transport.close()


def test_a_name_without_addresses_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    with pytest.raises(ConnectError, match="no address"):
        Urllib3Transport().send(request_to("http://localhost"), PLENTY)


def test_an_address_that_drops_packets_meets_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose backlog is full drops further handshakes, as a firewall does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 3
        )
        request = request_to(f"http://localhost:{address[1]}")
        assert times_out(Urllib3Transport(), request, 0.5).sent is False
        for filler in fillers:
            filler.close()


def test_no_timeout_means_to_wait() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip(reply(b"slow"), every=0.01)

    transport = Urllib3Transport()
    with HostileServer(script) as server:
        assert transport.send(request_to(server.origin), None).body == b"slow"
    transport.close()


def test_a_pool_closed_under_a_waiting_request_says_so() -> None:
    transport = Urllib3Transport(pool_size=1)
    asked = threading.Event()
    errors: list[BaseException] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        peer.stay_silent()

    def send(origin: str) -> None:
        try:
            transport.send(request_to(origin), 0.5)
        except (ClientClosed, TransportError) as error:
            errors.append(error)

    with HostileServer(script) as server:
        thread = threading.Thread(target=send, args=(server.origin,))
        thread.start()
        asked.wait(2)
        transport.close()
        with pytest.raises(ClientClosed):
            transport.send(request_to(server.origin), PLENTY)
        thread.join()
    assert isinstance(errors[0], AttemptTimeout)


def test_a_pool_closed_between_lookup_and_use_says_so() -> None:
    transport = Urllib3Transport()
    with HostileServer(always(reply())) as server:
        transport.prepare(server.origin)
        transport.prepare(server.origin)
        transport._origins[server.origin].pool.close()
        with pytest.raises(ClientClosed):
            transport.send(request_to(server.origin), PLENTY)
