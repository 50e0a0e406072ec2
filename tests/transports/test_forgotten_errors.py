"""Errors of the async transports are freed with the last reference to them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from airplane_runbooks import AsyncTransport, TransportError
from airplane_runbooks.testing.conformance import request_to
from airplane_runbooks.testing.hostile import HostileServer, Peer, Script, after_request
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport


@pytest.mark.parametrize("make", [ThreadedTransport, AsyncioTransport])
@pytest.mark.parametrize(
    "script", [after_request(Peer.reset), after_request(lambda peer: peer.send(b"garbage")), Peer.stay_silent]
)
def test_an_error_that_nobody_keeps_is_gone_at_once(make: Callable[[], AsyncTransport], script: Script) -> None:
    """None waits for the garbage collector, with all that its traceback holds."""

    async def scenario(origin: str) -> weakref.ref[TransportError] | None:
        transport = make()
        try:
            await transport.send(request_to(origin), 0.2)
        except TransportError as error:
            return weakref.ref(error)
        finally:
            await transport.aclose()
        return None

    gc.disable()
    try:
        with HostileServer(script) as server:
            gone = asyncio.run(scenario(server.origin))
        assert gone is not None
        assert gone() is None
    finally:
        gc.enable()
