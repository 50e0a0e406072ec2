"""The default transport keeps the contract of transports."""

from __future__ import annotations

from typing import Any

from airplane_runbooks.testing.conformance import TransportConformance
from airplane_runbooks.transports.urllib3 import Urllib3Transport


class TestUrllib3Transport(TransportConformance):
    def make(self, **options: Any) -> Urllib3Transport:
        return Urllib3Transport(**options)
