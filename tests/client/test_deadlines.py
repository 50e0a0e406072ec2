"""`timeout` is a promise about the whole call, kept over real sockets and against hostile servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airplane_runbooks import Airplane, AsyncAirplane, AsyncTransport, ConnectionLost, DeadlineExceeded
from airplane_runbooks.testing.conformance import finishes_within
from airplane_runbooks.testing.hostile import HostileServer, Peer, Script, after_request, always, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.support.timing import TIMED

pytestmark = TIMED

Call = Callable[[str, dict[str, Any]], None]


def sync_call(origin: str, options: dict[str, Any]) -> None:
    with Airplane("tkn_test", base_url=origin, **options) as airplane:
        airplane.runbooks.execute("x")


def async_call(make: Callable[[], AsyncTransport]) -> Call:
    def call(origin: str, options: dict[str, Any]) -> None:
        async def main() -> None:
            async with AsyncAirplane("tkn_test", base_url=origin, transport=make(), **options) as airplane:
                await airplane.runbooks.execute("x")

        asyncio.run(main())

    return call


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(sync_call, id="sync"),
        pytest.param(async_call(ThreadedTransport), id="threaded", marks=pytest.mark.once),
        pytest.param(async_call(AsyncioTransport), id="asyncio", marks=pytest.mark.once),
    ],
)
@pytest.mark.parametrize(
    "script",
    [
        after_request(lambda peer: peer.drip(reply(b'{"sessionID":"ses1"}'), every=0.25)),
        Peer.stay_silent,
        after_request(Peer.stay_silent),
        always(reply(b'{"error":"busy"}', status="503 Busy", headers=b"retry-after: 30\r\n")),
        after_request(Peer.reset),
    ],
    ids=["trickle", "accepts and says nothing", "reads and says nothing", "503 and Retry-After: 30", "resets"],
)
@pytest.mark.parametrize("attempt_timeout", [30, 0.3])
def test_a_call_ends_with_its_deadline(call: Call, script: Script, attempt_timeout: float) -> None:
    with HostileServer(script) as server:
        failures = (failure(call, server.origin, seconds, attempt_timeout) for seconds in (1.0, 10.0, 50.0))
        # A busy machine may need more than a second until it has sent anything.
        assert any(error.attempts >= 1 and error.maybe_processed for error in failures)


def failure(call: Call, origin: str, seconds: float, attempt_timeout: float) -> DeadlineExceeded | ConnectionLost:
    """Return the error of a call that must end within so many seconds."""
    options = {"timeout": seconds, "attempt_timeout": attempt_timeout * seconds}
    with finishes_within(seconds), pytest.raises((DeadlineExceeded, ConnectionLost)) as caught:
        call(origin, options)
    return caught.value
