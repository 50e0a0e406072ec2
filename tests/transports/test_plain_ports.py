"""TLS to a port that has none fails in the same way each time, so it is tried once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from airplane_runbooks import Airplane, AsyncAirplane, ConnectError
from airplane_runbooks.testing.hostile import HostileServer, Peer


def answer_in_plain(peer: Peer) -> None:
    peer.sock.recv(10_000)
    peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    peer.half_close()


def call(url: str) -> None:
    with Airplane("tkn_test", base_url=url, timeout=30) as airplane:
        airplane.sessions.get("ses1")


def call_async(url: str) -> None:
    async def main() -> None:
        async with AsyncAirplane("tkn_test", base_url=url, timeout=30) as airplane:
            await airplane.sessions.get("ses1")

    asyncio.run(main())


@pytest.mark.parametrize("get", [call, call_async])
def test_a_port_that_speaks_no_tls_is_tried_once(get: Callable[[str], None]) -> None:
    with HostileServer(answer_in_plain) as server, pytest.raises(ConnectError, match=r"(?i)wrong.version") as caught:
        get(server.origin.replace("http:", "https:") + "/v0")
    assert caught.value.attempts == 1
    assert not caught.value.transient
    assert not caught.value.maybe_processed
