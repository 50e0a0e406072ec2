"""Groups of contenders that are compared with one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import asynchronous, contenders, encoding, peers, reading, telemetry

OURS = "ours"
RAW = "raw socket"
URLLIB3, AIOHTTP, MSGSPEC = "bare urllib3", "bare aiohttp", "msgspec.json.encode"
TWO_SPANS, UNSAMPLED, SAMPLED = "bare urllib3, two spans", "ours, unsampled", "ours, sampled"
BELOW_UNSAMPLED = "ours, in an unsampled trace"
OLD = "ours, documented timestamps"


class Group(NamedTuple):
    """Contenders that take turns.

    Attributes:
        reference: The contender that the others are compared with.
        makers: Factories of the contenders' calls, by name.
        threads: Threads that call at the same time.
        in_flight: Calls at a time on an event loop; 0 for sync calls.
        each: Requests of one call.
        pause: Seconds before each call, in which the processor's caches go cold.
        over_tls: Whether the server wants TLS.
        is_counted: Whether instructions are counted.
    """

    reference: str
    makers: Mapping[str, Any]
    threads: int = 1
    in_flight: int = 0
    each: int = 1
    pause: float = 0.0
    over_tls: bool = False
    is_counted: bool = False

    @property
    def places(self) -> int:
        """Requests that are made while one place among those at the same time makes one call."""
        return max(1, self.threads, self.in_flight) * self.each


SYNC: dict[str, Any] = {
    RAW: contenders.raw_socket,
    "http.client": contenders.http_client,
    URLLIB3: contenders.bare_urllib3,
    OURS: contenders.ours,
    "pyreqwest": peers.pyreqwest_client,
    "elastic-transport": peers.elastic,
    "httpx": peers.httpx_client,
    "requests": peers.requests_session,
    "OpenAI's SDK": peers.openai_sdk,
    "azure-core": peers.azure,
    "airplanesdk": peers.official,
}
TELEMETRY: dict[str, Any] = {
    URLLIB3: contenders.bare_urllib3,
    TWO_SPANS: contenders.urllib3_and_two_spans,
    OURS: contenders.ours,
    UNSAMPLED: contenders.ours_unsampled,
    BELOW_UNSAMPLED: contenders.ours_in_an_unsampled_trace,
    SAMPLED: contenders.ours_sampled,
}
READING: dict[str, Any] = {
    URLLIB3: reading.bare_urllib3,
    OURS: reading.ours,
    OLD: reading.ours_old,
    "httpx": reading.httpx_client,
    "requests": reading.requests_session,
}
ASYNC: dict[str, Any] = {
    "asyncio's streams": asynchronous.raw_streams,
    AIOHTTP: asynchronous.bare_aiohttp,
    OURS: asynchronous.ours,
    "ours, on threads": asynchronous.ours_on_threads,
    "pyreqwest": asynchronous.pyreqwest_client,
    "elastic-transport": asynchronous.elastic,
    "httpx": asynchronous.httpx_client,
    "OpenAI's SDK": asynchronous.openai_sdk,
    "azure-core": asynchronous.azure,
}
ON_HTTPX = {"httpx", "OpenAI's SDK"}  # with 256 in flight they take many seconds for what others do in one
MANY_AT_A_TIME = {name: make for name, make in ASYNC.items() if name not in ON_HTTPX}
AT_ONCE = f"raw socket, {contenders.AT_ONCE} requests at once"
SERVER = {AT_ONCE: contenders.many_at_once}
THREADS, IN_FLIGHT = (4, 16), (1, 32, 256)

GROUPS = {
    "plain": Group(URLLIB3, SYNC, is_counted=True),
    "tls": Group(URLLIB3, SYNC, over_tls=True, is_counted=True),
    "spaced": Group(URLLIB3, SYNC, pause=0.005),
    "spaced-tls": Group(URLLIB3, SYNC, pause=0.005, over_tls=True),
    **{f"threads-{count}": Group(URLLIB3, SYNC, threads=count) for count in THREADS},
    "async-1": Group(AIOHTTP, ASYNC, in_flight=1, is_counted=True),
    "async-32": Group(AIOHTTP, ASYNC, in_flight=32, is_counted=True),
    "async-256": Group(AIOHTTP, MANY_AT_A_TIME, in_flight=256, is_counted=True),
    "async-tls": Group(AIOHTTP, ASYNC, in_flight=32, over_tls=True),
    "get": Group(URLLIB3, READING, is_counted=True),
    "telemetry": Group(URLLIB3, TELEMETRY, is_counted=True),
    **{
        f"encode-{size}": Group(MSGSPEC, {MSGSPEC: encoding.by_msgspec(size), OURS: encoding.ours(size)})
        for size in encoding.SIZES
    },
    "overhead": Group(telemetry.WITHOUT, telemetry.CONTENDERS),
    "server": Group(AT_ONCE, SERVER, each=contenders.AT_ONCE),
    "server-tls": Group(AT_ONCE, SERVER, each=contenders.AT_ONCE, over_tls=True),
}
