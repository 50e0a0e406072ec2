"""A name of this machine leads to this machine, in spite of hosts files and resolvers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from airplane_runbooks import ConnectError, Response
from airplane_runbooks.testing.conformance import request_to
from airplane_runbooks.testing.hostile import HostileServer, always, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport

Send = Callable[[str], Response]


def by_urllib3(origin: str) -> Response:
    transport = Urllib3Transport()
    try:
        return transport.send(request_to(origin), 5)
    finally:
        transport.close()


def by_async(make: Callable[[], Any]) -> Send:
    async def send(origin: str) -> Response:
        transport = make()
        try:
            response: Response = await transport.send(request_to(origin), 5)
            return response
        finally:
            await transport.aclose()

    return lambda origin: asyncio.run(send(origin))


SENDERS = {"urllib3": by_urllib3, "threads": by_async(ThreadedTransport), "asyncio": by_async(AsyncioTransport)}


@pytest.fixture(params=SENDERS)
def send(request: pytest.FixtureRequest) -> Send:
    return SENDERS[request.param]


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name be looked up as these addresses."""

    def install(*addresses: str) -> None:
        def getaddrinfo(host: object, port: int, *_: object, **__: object) -> list[Any]:
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
                if ":" in address
                else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return install


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
def test_a_loopback_name_that_leads_elsewhere_is_refused(
    send: Send, resolve_to: Callable[..., None], scheme: str, host: str
) -> None:
    resolve_to("192.0.2.1", "2001:db8::1")
    with pytest.raises(ConnectError, match="looked up as another machine") as caught:
        send(f"{scheme}://{host}:9")
    assert caught.value.sent is False
    assert not caught.value.transient


def test_only_the_addresses_of_this_machine_are_tried(send: Send, resolve_to: Callable[..., None]) -> None:
    with HostileServer(always(reply(b"1"))) as server:
        resolve_to("192.0.2.1", "127.0.0.1")
        assert send(server.origin).body == b"1"


def test_other_names_lead_where_they_are_looked_up(send: Send, resolve_to: Callable[..., None]) -> None:
    with HostileServer(always(reply(b"1"))) as server:
        resolve_to("127.0.0.1")
        assert send(f"http://api.test:{server.port}").body == b"1"
