"""Connections that have been idle for long, or are old, are closed instead of used."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ...http import Transport
from ..hostile import HostileServer, Peer, always, reply
from ._support import PLENTY, Case, request_to, tls


class Ages(Case):
    """Connections that a balancer may have forgotten, or that hold on to servers of yesterday."""

    @pytest.mark.parametrize("kind", ["plain", "tls"])
    @pytest.mark.parametrize("limit", ["max_connection_idle", "max_connection_age"])
    def test_a_connection_past_its_age_is_replaced(
        self, opened: Callable[..., Transport], limit: str, kind: str
    ) -> None:
        server_side, client_side = tls("localhost")
        options = {"max_connection_idle": None, "max_connection_age": None, limit: 0.05}
        with HostileServer(always(reply(b"1")), ssl_context=server_side if kind == "tls" else None) as server:
            transport = opened(ssl_context=client_side, **options)
            for _ in range(3):
                assert transport.send(request_to(server.origin), PLENTY).body == b"1"
                time.sleep(0.2)
            assert server.connections == 3

    def test_a_connection_without_an_age_is_kept(self, opened: Callable[..., Transport]) -> None:
        with HostileServer(always(reply())) as server:
            transport = opened(max_connection_idle=None, max_connection_age=None)
            for _ in range(3):
                transport.send(request_to(server.origin), PLENTY)
                time.sleep(0.05)
            assert server.connections == 1

    def test_a_request_outlives_the_age_of_its_connection(self, opened: Callable[..., Transport]) -> None:
        def script(peer: Peer) -> None:
            while peer.read_request():
                time.sleep(0.2)
                peer.send(reply(b"1"))

        with HostileServer(script) as server:
            transport = opened(max_connection_idle=0.05, max_connection_age=0.05)
            for _ in range(2):
                assert transport.send(request_to(server.origin), PLENTY).body == b"1"
