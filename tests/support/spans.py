"""Clients of every kind, and a server for them that fails as it is told to."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from airplane_runbooks import Airplane, AsyncAirplane, RetryPolicy
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport

KEY = "tkn_that_nobody_else_sees"
KINDS = ["sync", "threaded", "asyncio"]
ASYNC_TRANSPORTS: dict[str, Callable[[], Any]] = {"threaded": ThreadedTransport, "asyncio": AsyncioTransport}

OK = reply(b'{"sessionID":"ses1"}', headers=b"x-request-id: req1\r\n")
UNAVAILABLE = reply(b'{"error":"try later"}', status="503 Service Unavailable")
TWO_RETRIES = (UNAVAILABLE, UNAVAILABLE, OK)


def call(kind: str, act: Callable[[Any], Any], base_url: str, **options: Any) -> Any:
    """Return what `act` makes of a client of that kind, which does not wait before it tries again."""
    options = {"api_key": KEY, "base_url": base_url, "retry": RetryPolicy(initial_delay=0), **options}
    if kind == "sync":
        with Airplane(**options) as airplane:
            return act(airplane)

    async def run() -> Any:
        options.setdefault("transport", ASYNC_TRANSPORTS[kind]())
        async with AsyncAirplane(**options) as airplane:
            result = act(airplane)
            return await result if inspect.isawaitable(result) else result

    return asyncio.run(run())


class Api:
    """Requests that a server has received so far.

    Attributes:
        base_url: Where clients find it.
        port: Its port.
        requests: All requests, as they came.
    """

    def __init__(self, origin: str, port: int) -> None:
        self.base_url = f"{origin}/v0"
        self.port = port
        self.requests: list[bytes] = []

    @property
    def parents(self) -> list[str]:
        """The span IDs that came with the requests, one for each."""
        found = [
            [line for line in request.split(b"\r\n") if line.lower().startswith(b"traceparent:")]
            for request in self.requests
        ]
        return [line.decode().split("-")[2] for (line,) in found]


@contextmanager
def serving(script: Iterable[bytes]) -> Iterator[Api]:
    """Serve a script, one response per request."""
    answers = iter(script)

    def answer(peer: Peer) -> None:
        while request := peer.read_request():
            api.requests.append(request)
            peer.send(next(answers))

    with HostileServer(answer) as server:
        api = Api(server.origin, server.port)
        yield api
