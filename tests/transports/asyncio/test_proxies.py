"""The tests of proxies hold for the transport on asyncio as they do for the sync one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from airplane_runbooks.testing.conformance._async import LoopThread, SyncFace
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from tests.support.timing import TIMED
from tests.transports import test_proxies
from tests.transports.test_proxies import (  # noqa: F401  # to be collected here, too
    TestProxyUnderTLS,
    api,
    authority,
    test_a_dripping_proxy_does_not_outlast_the_timeout,
    test_a_password_repeated_by_a_proxy_is_not_in_the_error,
    test_a_proxy_that_does_not_speak_http_was_not_sent,
    test_a_refused_tunnel_was_not_sent,
    test_a_tunnel_in_which_the_proxy_speaks_first_is_refused,
    test_a_tunnel_may_lead_to_an_address,
    test_https_goes_through_a_tunnel_that_learns_nothing,
    test_no_connection_names_the_server_and_the_proxy,
    test_plain_http_is_forwarded_with_the_whole_url,
    test_the_proxys_password_does_not_reach_the_server,
    trusting,
)

pytestmark = TIMED


@pytest.fixture(autouse=True, params=["asyncio", pytest.param("uvloop", marks=pytest.mark.nightly)])
def _on_asyncio(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kind: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    with LoopThread(kind.new_event_loop()) as thread:

        def make(**options: Any) -> SyncFace:
            return SyncFace(AsyncioTransport(**options), thread.run)

        monkeypatch.setattr(test_proxies, "Urllib3Transport", make)
        yield
