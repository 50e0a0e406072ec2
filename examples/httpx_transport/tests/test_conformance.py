"""The contract of transports, held against ours over real sockets."""

from __future__ import annotations

from typing import Any

from airplane_httpx import HttpxTransport

from airplane_runbooks.testing.conformance import TransportConformance


class TestHttpxTransport(TransportConformance):
    def make(self, **options: Any) -> HttpxTransport:
        return HttpxTransport(**options)
