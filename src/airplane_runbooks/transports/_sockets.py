"""Options of the sockets that all transports make."""

from __future__ import annotations

import socket

# A path that a balancer or a firewall has silently dropped is found by one probe. Between the request and a late reply,
# the probe is sent after 15 quiet seconds, and its answer awaited for 5. What was sent must be acknowledged in 4.5.
_QUIET, _PROBE = 15, 5
_ACKNOWLEDGED = 4_500  # milliseconds

# By name, since systems have some of them only. The first two mean the same on different systems.
_OPTIONS = [
    ("TCP_KEEPIDLE", _QUIET),
    ("TCP_KEEPALIVE", _QUIET),
    ("TCP_KEEPINTVL", _PROBE),
    ("TCP_KEEPCNT", 1),
    ("TCP_USER_TIMEOUT", _ACKNOWLEDGED),
]


def tune(sock: socket.socket) -> None:
    """Set the options of a connected socket. One that does not lead over a network needs none."""
    if not _is_tcp(sock):
        return
    # What we write is complete, so there is no sense in holding it back until more comes.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def await_acknowledgement(sock: socket.socket, *, soon: bool) -> None:
    """Say whether the receipt of what is sent has to be acknowledged soon.

    A server may take its time over a large body. Until it reads on, no more of it is acknowledged.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and _is_tcp(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _ACKNOWLEDGED if soon else 0)


def _is_tcp(sock: socket.socket) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6)
