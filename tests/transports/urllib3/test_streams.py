"""Streams over sockets, at the moments that are hard to hit with a server."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from airplane_runbooks.transports.urllib3 import _streams as streams
from airplane_runbooks.transports.urllib3._streams import AnswerStart, Stream
from tests.support.timing import eventually


@pytest.fixture
def pair() -> Iterator[tuple[Stream, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Stream(ours), theirs


def test_a_deadline_in_the_past_reads_nothing(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"more")
    with pytest.raises(TimeoutError):
        stream.receive(4, time.monotonic() - 1)
    assert stream.receive(4, None) == b"more"


def test_a_long_wait_is_made_of_shorter_ones(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[Stream, socket.socket]
) -> None:
    monkeypatch.setattr(streams, "_LONGEST_WAIT", 1.0)
    stream, peer = pair
    timer = threading.Timer(0.1, peer.send, [b"more"])
    timer.start()
    assert stream.receive(4, time.monotonic() + 1e9) == b"more"
    timer.join()


def test_a_full_socket_is_waited_for_until_the_deadline(pair: tuple[Stream, socket.socket]) -> None:
    stream, _ = pair
    with contextlib.suppress(BlockingIOError):
        while True:
            stream.sock.send(b"x" * 1_000_000)
    for seconds in (0.05, -1):
        with pytest.raises(TimeoutError):
            stream.send(b"x", time.monotonic() + seconds)


def test_a_short_request_may_leave_in_pieces(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += stream.sock.send(b"x" * 1_000_000)
    received: list[int] = []

    def read() -> None:
        while sum(received) < filled + 5:
            received.append(len(peer.recv(1_000_000)))

    thread = threading.Thread(target=read)
    thread.start()
    assert stream.send(b"hello", None) is None
    thread.join()
    assert sum(received) == filled + 5


def test_systems_without_poll_select_instead(
    monkeypatch: pytest.MonkeyPatch, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    monkeypatch.delattr(select, "poll")
    for context in (None, tls[0]):
        transport = Urllib3Transport(ssl_context=tls[1])
        with HostileServer(always(reply(b"1")), ssl_context=context) as server:
            for timeout in (PLENTY, None):
                assert transport.send(request_to(server.origin), timeout).body == b"1"
            assert server.connections == 1
        transport.close()


def test_the_start_of_an_answer_shows_none_of_its_bytes() -> None:
    assert repr(AnswerStart(b"tkn_secret", is_whole=True)) == "<AnswerStart of 10 bytes>"


def say_goodbye(peer: Peer) -> None:
    """Say that no more will come, without waiting for the client to say so, too."""
    peer.sock.settimeout(0.1)
    peer.sock.unwrap()  # type: ignore[attr-defined]  # of TLS sockets


@pytest.mark.parametrize(
    ("late", "connections"),
    [
        (lambda peer: None, 1),
        (lambda peer: peer.send(b"evil"), 2),
        (say_goodbye, 2),
        (Peer.reset, 2),
    ],
    ids=["nothing", "bytes", "the end", "a reset"],
)
def test_a_tls_connection_is_used_again_unless_more_has_come(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], late: object, connections: int
) -> None:
    answered, done = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply(b"1"))
        if not done.is_set():
            answered.wait(PLENTY)
            with contextlib.suppress(OSError):
                late(peer)  # type: ignore[operator]
            done.set()
        peer.read_request()
        peer.send(reply(b"2"))

    transport = Urllib3Transport(ssl_context=tls[1])
    with HostileServer(script, ssl_context=tls[0]) as server:
        assert transport.send(request_to(server.origin), PLENTY).body == b"1"
        answered.set()
        done.wait(PLENTY)
        time.sleep(0.1)  # what has been sent on loopback has arrived by then
        transport.send(request_to(server.origin), PLENTY)
        assert server.connections == connections
    transport.close()


def test_session_tickets_do_not_end_a_tls_connection(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """They arrive right after the handshake, which may be long before the first request."""
    with HostileServer(always(reply()), ssl_context=tls[0]) as server:
        raw = socket.create_connection(("127.0.0.1", server.port))
        with tls[1].wrap_socket(raw, server_hostname="localhost") as sock:
            stream = Stream(sock)
            eventually(lambda: select.select([sock], [], [], 0)[0])
            assert stream.is_quiet()
            assert not select.select([sock], [], [], 0)[0]
