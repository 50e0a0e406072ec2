"""Groups of contenders that are compared with one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import contenders, peers

BLOCK = 10  # calls of one contender before the next one's turn
OURS = "ours"
URLLIB3, AIOHTTP = "bare urllib3", "bare aiohttp"


class Group(NamedTuple):
    """Contenders that take turns.

    Attributes:
        reference: The contender that the others are compared with.
        makers: Factories of the contenders' calls, by name.
        threads: Threads that call at the same time.
        in_flight: Calls at a time on an event loop; 0 for sync calls.
        pause: Seconds before each call, in which the processor's caches go cold.
        over_tls: Whether the server wants TLS.
        is_counted: Whether instructions are counted.
    """

    reference: str
    makers: Mapping[str, Any]
    threads: int = 1
    in_flight: int = 0
    pause: float = 0.0
    over_tls: bool = False
    is_counted: bool = False


SYNC: dict[str, Any] = {
    "raw socket": contenders.raw_socket,
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
FEW = {name: SYNC[name] for name in ("raw socket", URLLIB3, OURS, "httpx", "requests")}
TELEMETRY: dict[str, Any] = {
    URLLIB3: contenders.bare_urllib3,
    "bare urllib3, two spans": contenders.urllib3_and_two_spans,
    OURS: contenders.ours,
    "ours, unsampled": contenders.ours_unsampled,
    "ours, sampled": contenders.ours_sampled,
}
ASYNC: dict[str, Any] = {
    AIOHTTP: contenders.bare_aiohttp,
    OURS: contenders.ours_async,
    "ours, on threads": contenders.ours_on_threads,
    "httpx": peers.httpx_async,
}

GROUPS = {
    "plain": Group(URLLIB3, SYNC, is_counted=True),
    "tls": Group(URLLIB3, SYNC, over_tls=True),
    "spaced": Group(URLLIB3, FEW, pause=0.005),
    "telemetry": Group(URLLIB3, TELEMETRY, is_counted=True),
    **{f"threads-{count}": Group(URLLIB3, FEW, threads=count) for count in (4, 16)},
    **{f"async-{count}": Group(AIOHTTP, ASYNC, in_flight=count, is_counted=count in {1, 32}) for count in (1, 32, 256)},
}
