"""The same call, made in different ways: each factory returns a function that makes it once."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .canned import Endpoint

Call = Callable[[], object]
Make = Callable[[Endpoint], Call]
AsyncCall = Callable[[], Awaitable[object]]
AsyncMake = Callable[[Endpoint, int], Awaitable[tuple[AsyncCall, AsyncCall]]]
"""Factory of an async call, and of what closes its client; the number is that of the calls in flight."""

VALUES = {"limit": 20, "name": "ada"}
KEY = "tkn_benchmark"
ROUTE = "/runbooks/execute"
PATH = f"/v0{ROUTE}"
HEADERS = {
    "user-agent": "benchmark/1.0",
    "accept": "application/json",
    "content-type": "application/json",
    "idempotency-key": "45929e5c-f9f5-4e36-9471-c7d86d98ceb7",
    "x-airplane-api-key": KEY,
}
BODY: Mapping[str, Any] = {"slug": "hello_world", "paramValues": VALUES}


def raw_socket(endpoint: Endpoint) -> Call:
    """Bytes made beforehand, one send, one receive, nothing parsed: the floor."""
    body = b'{"slug":"hello_world","paramValues":{"limit":20,"name":"ada"}}'
    lines = [f"POST {PATH} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    sock = socket.create_connection(("127.0.0.1", endpoint.port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.ca:
        sock = endpoint.context().wrap_socket(sock, server_hostname="127.0.0.1")

    def call() -> object:
        sock.sendall(request)
        return sock.recv(16384)

    return call


def http_client(endpoint: Endpoint) -> Call:
    """The standard library's client, with msgspec for the two bodies."""
    from http.client import HTTPConnection, HTTPSConnection

    import msgspec

    from airplane_runbooks.models import StartedSession

    address = ("127.0.0.1", endpoint.port)
    connection = (
        HTTPSConnection(*address, timeout=30, context=endpoint.context())
        if endpoint.ca
        else HTTPConnection(*address, timeout=30)
    )
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    def call() -> object:
        connection.request("POST", PATH, encode(BODY), HEADERS)
        return decode(connection.getresponse().read())

    return call


def bare_urllib3(endpoint: Endpoint) -> Call:
    """The least that one can do with urllib3: a pool, a timeout, and msgspec for the two bodies."""
    import msgspec
    import urllib3

    from airplane_runbooks.models import StartedSession

    options: dict[str, Any] = {"timeout": 30.0, "maxsize": 32}
    pool = (
        urllib3.HTTPSConnectionPool("127.0.0.1", endpoint.port, ssl_context=endpoint.context(), **options)
        if endpoint.ca
        else urllib3.HTTPConnectionPool("127.0.0.1", endpoint.port, **options)
    )
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    def call() -> object:
        return decode(pool.urlopen("POST", PATH, body=encode(BODY), headers=HEADERS).data)

    return call


def ours(endpoint: Endpoint, **options: Any) -> Call:
    """`Airplane.runbooks.execute` with everything it does: checks, key, retries, deadline, telemetry by API only."""
    from airplane_runbooks import Airplane
    from airplane_runbooks.transports.urllib3 import Urllib3Transport

    transport = Urllib3Transport(ssl_context=endpoint.context()) if endpoint.ca else None
    airplane = Airplane(KEY, base_url=f"{endpoint.origin}/v0", transport=transport, **options)

    def call() -> object:
        return airplane.runbooks.execute("hello_world", param_values=VALUES)

    return call


def ours_unsampled(endpoint: Endpoint) -> Call:
    """The same with the OpenTelemetry SDK, no span sampled."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return ours(endpoint, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))


def ours_sampled(endpoint: Endpoint) -> Call:
    """The same with every span sampled and handed to a batch processor."""
    return ours(endpoint, tracer_provider=exporting_provider())


def urllib3_and_two_spans(endpoint: Endpoint) -> Call:
    """Bare urllib3 with the two spans that one would write by hand around it, sampled as ours are."""
    from opentelemetry.propagate import inject
    from opentelemetry.trace import SpanKind

    tracer, bare = exporting_provider().get_tracer("benchmark"), bare_urllib3(endpoint)

    def call() -> object:
        with tracer.start_as_current_span("runbooks.execute", attributes={"airplane.runbook.slug": "hello_world"}):
            attributes = {"http.request.method": "POST", "server.address": "127.0.0.1", "server.port": endpoint.port}
            with tracer.start_as_current_span("POST", kind=SpanKind.CLIENT, attributes=attributes) as span:
                inject(dict(HEADERS))
                result = bare()
                span.set_attribute("http.response.status_code", 200)
                return result

    return call


def exporting_provider() -> Any:
    """Return a provider that samples everything, and hands it to a batch processor."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Dropping(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # drops them
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    return provider


async def bare_aiohttp(endpoint: Endpoint, in_flight: int) -> tuple[AsyncCall, AsyncCall]:
    """The least that one can do with aiohttp: a session, a timeout, and msgspec for the two bodies."""
    import aiohttp
    import msgspec

    from airplane_runbooks.models import StartedSession

    session = aiohttp.ClientSession(
        endpoint.origin,
        connector=aiohttp.TCPConnector(limit=in_flight, ssl=endpoint.context() if endpoint.ca else True),
        timeout=aiohttp.ClientTimeout(total=30),
        headers=HEADERS,
    )
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    async def call() -> object:
        async with session.post(PATH, data=encode(BODY)) as response:
            return decode(await response.read())

    return call, session.close


async def ours_async(endpoint: Endpoint, in_flight: int) -> tuple[AsyncCall, AsyncCall]:
    """`AsyncAirplane.runbooks.execute` with everything it does, on its default transport."""
    return asynchronous(endpoint, in_flight, None)


async def ours_on_threads(endpoint: Endpoint, in_flight: int) -> tuple[AsyncCall, AsyncCall]:
    """The same over the sync transport on threads."""
    from airplane_runbooks.transports.threaded import ThreadedTransport

    return asynchronous(endpoint, in_flight, ThreadedTransport())


def asynchronous(endpoint: Endpoint, in_flight: int, transport: Any) -> tuple[AsyncCall, AsyncCall]:
    del in_flight  # no more of them wait for a connection than there are connections
    from airplane_runbooks import AsyncAirplane

    airplane = AsyncAirplane(KEY, base_url=f"{endpoint.origin}/v0", transport=transport)

    async def call() -> object:
        return await airplane.runbooks.execute("hello_world", param_values=VALUES)

    return call, airplane.aclose
