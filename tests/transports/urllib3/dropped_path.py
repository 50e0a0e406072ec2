"""Requests over a path that is silently dropped, in a network namespace of its own: `unshare --net python <this>`.

Prints the errors, and the seconds that they took, of a request on a connection that was idle when the path was dropped,
and of a long poll that was waiting; then the seconds until a connection is made beside a dead IPv6.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from airplane_runbooks import Request, TransportError
from airplane_runbooks.http import Headers
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.urllib3 import Urllib3Transport

SERVER = "192.0.2.2"
TIMEOUT = 60.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def set_up() -> None:
    """Give the server an address of this machine, and its client a device that leads nowhere."""
    ip("link", "set", "lo", "up")
    ip("tuntap", "add", "dev", "nowhere", "mode", "tun")
    ip("address", "add", "192.0.2.1/32", "dev", "nowhere")
    ip("-6", "address", "add", "2001:db8::1/128", "dev", "nowhere", "nodad")
    ip("link", "set", "nowhere", "up")
    ip("-6", "route", "add", "2001:db8::2/128", "dev", "nowhere")


def restore_path() -> None:
    subprocess.run(["ip", "route", "del", SERVER], check=False, capture_output=True)
    ip("address", "add", f"{SERVER}/32", "dev", "lo")


def drop_path() -> None:
    ip("address", "del", f"{SERVER}/32", "dev", "lo")
    ip("route", "add", SERVER, "dev", "nowhere")


def request_to(server: HostileServer, method: str) -> Request:
    body = None if method == "GET" else b"{}"
    return Request(method=method, origin=f"http://{SERVER}:{server.port}", target="/", headers=Headers(), body=body)


def measure(action: Callable[[], object]) -> tuple[str, float]:
    started = time.monotonic()
    try:
        action()
        outcome = "answered"
    except TransportError as error:
        outcome = f"{type(error).__name__}: {error}"
    return outcome, round(time.monotonic() - started, 2)


def answer_once(peer: Peer) -> None:
    peer.read_request()
    peer.send(reply())
    peer.stay_silent()


def drop(method: str, *, while_waiting: bool) -> tuple[str, float]:
    """Drop the path between two requests, or during the second one."""
    restore_path()
    transport = Urllib3Transport()
    with HostileServer(answer_once, host="0.0.0.0") as server:
        request = request_to(server, method)
        transport.send(request, TIMEOUT)
        if while_waiting:
            threading.Timer(1, drop_path).start()
        else:
            drop_path()
        try:
            return measure(lambda: transport.send(request, TIMEOUT))
        finally:
            transport.close()


def connect_beside_dead_ipv6() -> tuple[str, float]:
    restore_path()
    transport = Urllib3Transport()
    with HostileServer(answer_once, host="0.0.0.0") as server:
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::2", server.port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (SERVER, server.port)),
        ]
        socket.getaddrinfo = lambda *_: found  # type: ignore[assignment,misc]
        try:
            return measure(lambda: transport.send(request_to(server, "GET"), TIMEOUT))
        finally:
            transport.close()


def main() -> None:
    set_up()
    results = {
        "idle": drop("POST", while_waiting=False),
        "quiet": drop("GET", while_waiting=True),
        "dead IPv6": connect_beside_dead_ipv6(),
    }
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
