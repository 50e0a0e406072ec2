"""The tests of proxies hold for the transport on aiohttp as they do for the default one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from airplane_runbooks.testing.conformance._async import LoopThread, SyncFace
from airplane_runbooks.transports.aiohttp._transport import AiohttpTransport
from tests.support.timing import TIMED
from tests.transports import test_proxies

pytestmark = TIMED


@pytest.fixture(autouse=True, params=["asyncio", pytest.param("uvloop", marks=pytest.mark.once)])
def _on_aiohttp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kind: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    with LoopThread(kind.new_event_loop()) as thread:

        def make(**options: Any) -> SyncFace:
            return SyncFace(AiohttpTransport(**options), thread.run)

        monkeypatch.setattr(test_proxies, "Urllib3Transport", make)
        yield
