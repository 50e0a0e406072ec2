"""Options of connected sockets."""

from __future__ import annotations

import socket

import pytest

from airplane_runbooks.transports import _sockets as sockets

HAS_THEM = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has other options")


def connected(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname())


@HAS_THEM
def test_a_connection_is_probed_while_it_is_quiet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, connected(listener) as sock:
        sockets.tune(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [1, 15, 5, 4500]


@HAS_THEM
def test_a_large_body_may_be_acknowledged_late() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, connected(listener) as sock:
        for soon, milliseconds in ((False, 0), (True, 4500)):
            sockets.await_acknowledgement(sock, soon=soon)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds


def test_systems_without_an_option_do_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listener, connected(listener) as sock:
        sockets.tune(sock)
        sockets.await_acknowledgement(sock, soon=True)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_socket_without_a_network_is_left_alone() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        sockets.tune(ours)
        sockets.await_acknowledgement(ours, soon=True)
        assert not ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
