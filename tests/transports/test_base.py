"""Common ground of the transports: forked children, and the sizes of pools."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from airplane_runbooks.testing import FakeTransport
from airplane_runbooks.transports import base
from airplane_runbooks.transports.asyncio import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3 import Urllib3Transport


class Resettable:
    resets = 0

    def reset(self) -> None:
        self.resets += 1


def test_living_transports_are_reset_and_others_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_resets", weakref.WeakKeyDictionary())
    transport = Resettable()
    base.call_in_children(transport, Resettable.reset)
    base.call_in_children(Resettable(), Resettable.reset)
    gc.collect()

    assert len(base._resets) == 1
    base._reset_transports()
    assert transport.resets == 1


@pytest.mark.parametrize(
    ("transport", "size"),
    [
        (Urllib3Transport(pool_size=5), 5),
        (ThreadedTransport(pool_size=6), 6),
        (ThreadedTransport(Urllib3Transport(pool_size=5), pool_size=6), 5),
        (ThreadedTransport(FakeTransport(), pool_size=100), 32),
        (AsyncioTransport(pool_size=7), 7),
        (FakeTransport(), 32),
    ],
)
def test_a_transport_tells_how_many_requests_it_carries(transport: object, size: int) -> None:
    assert base.pool_size_of(transport) == size


def test_a_client_that_lives_until_the_end_ends_in_silence() -> None:
    code = "from airplane_runbooks import Airplane\nairplane = Airplane('tkn_test')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
