"""The same call, made in different ways: each factory returns a function that makes it so many times."""

from __future__ import annotations

import asyncio
import atexit
import functools
import socket
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Calls = Callable[[int], None]
Make = Callable[[int], Calls]  # of the server's port

VALUES = {"limit": 20, "name": "ada"}
KEY = "tkn_benchmark"
PATH = "/v0/runbooks/execute"
HEADERS = {
    "user-agent": "benchmark/1.0",
    "accept": "application/json",
    "content-type": "application/json",
    "idempotency-key": "45929e5c-f9f5-4e36-9471-c7d86d98ceb7",
    "x-airplane-api-key": KEY,
}


def blocking(make: Callable[..., Callable[[], object]]) -> Callable[..., Calls]:
    """Turn a factory of one call into a factory of many."""

    @functools.wraps(make)
    def factory(*args: Any, **kwargs: Any) -> Calls:
        call = make(*args, **kwargs)

        def calls(count: int) -> None:
            for _ in range(count):
                call()

        return calls

    return factory


AsyncCall = Callable[[], Awaitable[object]]


def on_a_loop(make: Callable[..., Awaitable[tuple[AsyncCall, AsyncCall]]], in_flight: int, **options: Any) -> Make:
    """Turn a factory of one async call, and of what closes its client, into one of many, some in flight at a time."""

    def factory(port: int) -> Calls:
        loop = asyncio.new_event_loop()
        call, close = loop.run_until_complete(make(port, in_flight, **options))
        atexit.register(lambda: loop.run_until_complete(close()))

        async def work(count: int) -> None:
            for _ in range(count):
                await call()

        async def work_together(count: int) -> None:
            await asyncio.gather(*(work(count) for _ in range(in_flight)))

        def calls(count: int) -> None:
            loop.run_until_complete(work(count) if in_flight == 1 else work_together(count))

        return calls

    return factory


@blocking
def raw_socket(port: int) -> Callable[[], object]:
    """Bytes made beforehand, one send, one receive, nothing parsed: the floor."""
    body = b'{"slug":"hello_world","paramValues":{"limit":20,"name":"ada"}}'
    lines = [f"POST {PATH} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call() -> object:
        sock.sendall(request)
        return sock.recv(16384)

    return call


@blocking
def bare_urllib3(port: int) -> Callable[[], object]:
    """The least that one can do with urllib3: a pool, a timeout, and msgspec for the two bodies."""
    import msgspec
    import urllib3

    from airplane_runbooks.models import StartedSession

    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=30.0)
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    def call() -> object:
        body = encode({"slug": "hello_world", "paramValues": VALUES})
        return decode(pool.urlopen("POST", PATH, body=body, headers=HEADERS).data)

    return call


@blocking
def httpx_json(port: int) -> Callable[[], object]:
    """Httpx with its own JSON."""
    import httpx

    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, headers=HEADERS, trust_env=False)

    def call() -> object:
        return client.post(PATH, json={"slug": "hello_world", "paramValues": VALUES}).json()["sessionID"]

    return call


@blocking
def ours(port: int, **options: Any) -> Callable[[], object]:
    """`Airplane.runbooks.execute` with everything it does: checks, key, retries, deadline, telemetry by API only."""
    from airplane_runbooks import Airplane

    airplane = Airplane(KEY, base_url=f"http://127.0.0.1:{port}/v0", **options)

    def call() -> object:
        return airplane.runbooks.execute(slug="hello_world", param_values=VALUES)

    return call


def ours_unsampled(port: int) -> Calls:
    """The same with the OpenTelemetry SDK, no span sampled."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return ours(port, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))


def ours_sampled(port: int) -> Calls:
    """The same with every span sampled and handed to a batch processor."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Dropping(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # drops them
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    return ours(port, tracer_provider=provider)


async def bare_aiohttp(port: int, in_flight: int) -> tuple[AsyncCall, AsyncCall]:
    """The least that one can do with aiohttp: a session, a timeout, and msgspec for the two bodies."""
    import aiohttp
    import msgspec

    from airplane_runbooks.models import StartedSession

    session = aiohttp.ClientSession(
        f"http://127.0.0.1:{port}",
        connector=aiohttp.TCPConnector(limit=in_flight),
        timeout=aiohttp.ClientTimeout(total=30),
        headers=HEADERS,
    )
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    async def call() -> object:
        body = encode({"slug": "hello_world", "paramValues": VALUES})
        async with session.post(PATH, data=body) as response:
            return decode(await response.read())

    return call, session.close


async def ours_async(port: int, in_flight: int, *, on: str) -> tuple[AsyncCall, AsyncCall]:
    """`AsyncAirplane.runbooks.execute` with everything it does, on one of its transports."""
    from airplane_runbooks import AsyncAirplane, AsyncTransport
    from airplane_runbooks.transports.aiohttp._transport import AiohttpTransport
    from airplane_runbooks.transports.threaded import ThreadedTransport

    transport: AsyncTransport = AiohttpTransport(pool_size=in_flight) if on == "aiohttp" else ThreadedTransport()
    airplane = AsyncAirplane(KEY, base_url=f"http://127.0.0.1:{port}/v0", transport=transport)

    async def call() -> object:
        return await airplane.runbooks.execute(slug="hello_world", param_values=VALUES)

    return call, airplane.aclose


class Group(NamedTuple):
    """Contenders that are compared with one of them."""

    reference: str
    contenders: dict[str, Make]


def async_group(in_flight: int) -> Group:
    suffix = "" if in_flight == 1 else f", {in_flight} in flight"
    return Group(
        f"bare aiohttp{suffix}",
        {
            f"bare aiohttp{suffix}": on_a_loop(bare_aiohttp, in_flight),
            f"ours on aiohttp{suffix}": on_a_loop(ours_async, in_flight, on="aiohttp"),
            f"ours on threads{suffix}": on_a_loop(ours_async, in_flight, on="threads"),
        },
    )


GROUPS = [
    Group(
        "bare urllib3",
        {
            "raw socket": raw_socket,
            "bare urllib3": bare_urllib3,
            "ours": ours,
            "ours, SDK unsampled": ours_unsampled,
            "ours, SDK sampled": ours_sampled,
            "httpx": httpx_json,
        },
    ),
    async_group(1),
    async_group(32),
    async_group(256),
]
