"""`timeout` is a promise about the whole call, kept over real sockets and against servers that mean ill."""

from __future__ import annotations

import time

import pytest

from airplane_runbooks import Airplane, ConnectionLost, DeadlineExceeded
from airplane_runbooks.testing.hostile import HostileServer, Peer, Script, after_request, always, reply


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
def test_a_call_of_one_second_ends_within_a_second_and_a_fifth(script: Script, attempt_timeout: float) -> None:
    with (
        HostileServer(script) as server,
        Airplane("tkn_test", base_url=server.origin, timeout=1.0, attempt_timeout=attempt_timeout) as airplane,
    ):
        started = time.monotonic()
        with pytest.raises((DeadlineExceeded, ConnectionLost)) as caught:
            airplane.runbooks.execute(slug="x")
        assert time.monotonic() - started < 1.2
    assert caught.value.attempts >= 1
    assert caught.value.maybe_processed
