"""Connections that are opened before the first call, and TLS sessions that are resumed."""

from __future__ import annotations

import ssl
import threading

import pytest

from airplane_runbooks import Airplane, AttemptTimeout, ClientClosed, ConnectError
from airplane_runbooks.testing import FakeTransport
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from tests.support.timing import eventually


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_connections_are_opened_before_the_first_request(tls: tuple[ssl.SSLContext, ssl.SSLContext], kind: str) -> None:
    transport = Urllib3Transport(pool_size=3, ssl_context=tls[1])
    with HostileServer(always(reply(b"1")), ssl_context=tls[0] if kind == "tls" else None) as server:
        for wanted in (2, 2, 9):
            transport.warm_up(server.origin, wanted, PLENTY)
        eventually(lambda: server.connections == 3)
        for _ in range(3):
            assert transport.send(request_to(server.origin), PLENTY).body == b"1"
        assert server.connections == 3
    transport.close()


def test_connections_in_use_count_as_open() -> None:
    transport = Urllib3Transport(pool_size=1)
    asked, may_answer = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        may_answer.wait(PLENTY)
        peer.send(reply())

    with HostileServer(script) as server:
        thread = threading.Thread(target=transport.send, args=(request_to(server.origin), PLENTY))
        thread.start()
        asked.wait(PLENTY)
        transport.warm_up(server.origin, 1)
        may_answer.set()
        thread.join()
        assert server.connections == 1
    transport.close()


def test_a_connection_that_cannot_be_opened_frees_its_place() -> None:
    transport = Urllib3Transport(pool_size=1)
    with HostileServer(Peer.stay_silent) as server:
        with pytest.raises(AttemptTimeout):
            transport.warm_up(server.origin.replace("http:", "https:"), 1, 0.2)
        origin = server.origin
    for _ in range(2):
        with pytest.raises(ConnectError):
            transport.warm_up(origin, 1, PLENTY)
    transport.close()


def test_closing_ends_a_handshake_before_the_first_request() -> None:
    transport = Urllib3Transport()
    with HostileServer(Peer.stay_silent) as server:
        timer = threading.Timer(0.2, transport.close)
        timer.start()
        with pytest.raises(ClientClosed):
            transport.warm_up(server.origin.replace("http:", "https:"))
        timer.join()
        with pytest.raises(ClientClosed):
            transport.warm_up(server.origin)


def test_a_client_opens_the_connections_of_its_transport() -> None:
    with HostileServer(always(reply())) as server, Airplane("tkn_test", base_url=f"{server.origin}/v0") as airplane:
        airplane.warm_up(2)
        eventually(lambda: server.connections == 2)
    Airplane("tkn_test", transport=FakeTransport()).warm_up()


def test_a_new_connection_resumes_the_tls_session(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    resumed: list[bool | None] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        resumed.append(peer.sock.session_reused)  # type: ignore[attr-defined]  # of TLS sockets
        peer.send(reply(headers=b"connection: close\r\n"))

    transport = Urllib3Transport(ssl_context=tls[1])
    with HostileServer(script, ssl_context=tls[0]) as server:
        for _ in range(3):
            assert transport.send(request_to(server.origin), PLENTY).status == 200
    transport.close()
    assert resumed == [False, True, True]
