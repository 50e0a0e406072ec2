"""Doubles for tests of code that uses the client, and the test of the Transport contract.

`airplane_runbooks.testing.conformance` needs pytest and trustme; what is exported here needs nothing.
"""

from .doubles import AsyncFakeTransport, FakeClock, FakeTransport, json_response
from .long_polls import long_polled

__all__ = ["AsyncFakeTransport", "FakeClock", "FakeTransport", "json_response", "long_polled"]
