"""The async client never blocks its event loop, not at the first call and not at the first failure either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from blockbuster import BlockingError, blockbuster_ctx

from airplane_runbooks import AsyncAirplane, AsyncTransport, CallOptions, DeadlineExceeded, PollPolicy, ServerError
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport

TRANSPORTS = pytest.mark.parametrize("make", [ThreadedTransport, AsyncioTransport])


@pytest.fixture(autouse=True)
def _detector() -> Iterator[None]:
    with blockbuster_ctx():
        yield


def test_the_detector_detects() -> None:
    async def main() -> None:
        time.sleep(0.001)  # noqa: ASYNC251  # which is what this is about

    with pytest.raises(BlockingError):
        asyncio.run(main())


@TRANSPORTS
def test_calls_failures_retries_waits_and_closing_do_not_block(make: Callable[[], AsyncTransport]) -> None:
    soon = format_datetime(datetime.now(UTC), usegmt=True).encode()
    answers = [
        reply(b"{}", status="503 Busy", headers=b"retry-after: " + soon + b"\r\n"),
        reply(b'{"sessionID":"ses1"}'),
        reply(b'{"id":"ses1","status":"Active"}'),
        reply(b'{"id":"ses1","status":"Succeeded"}'),
        reply(b'{"error":"no"}', status="500 No", headers=b"x-airplane-retryable: false\r\n"),
    ]

    def script(peer: Peer) -> None:
        while peer.read_request() and answers:
            peer.send(answers.pop(0))
        peer.stay_silent()

    async def main(airplane: AsyncAirplane) -> None:
        async with airplane:
            started = await airplane.runbooks.execute("x", param_values={"a": 1})
            poll = PollPolicy(initial_delay=0.06, max_delay=0.06)
            assert (await airplane.sessions.wait(started.session_id, wait_timeout=100, poll=poll)).status == "Succeeded"
            with pytest.raises(ServerError):
                await airplane.runbooks.execute("x")
            with pytest.raises(DeadlineExceeded):
                await airplane.sessions.get("ses1", options=CallOptions(timeout=0.2))
            call = asyncio.create_task(airplane.sessions.get("ses1"))
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    with HostileServer(script) as server:
        asyncio.run(main(AsyncAirplane("tkn_test", base_url=server.origin, transport=make())))
    assert answers == []
