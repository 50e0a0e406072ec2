"""The same call, made in different ways: each factory returns a function that makes it once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from .canned import STARTED, Endpoint

T = TypeVar("T")
Call = Callable[[], object]
Make = Callable[[Endpoint], Call]

VALUES = {"limit": 20, "name": "ada"}
KEY = "tkn_benchmark"
AT_ONCE = 16
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


def request_bytes() -> bytes:
    body = b'{"slug":"hello_world","paramValues":{"limit":20,"name":"ada"}}'
    lines = [f"POST {PATH} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def connected(endpoint: Endpoint) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", endpoint.port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return endpoint.context().wrap_socket(sock, server_hostname="127.0.0.1") if endpoint.ca else sock


class OfThread(threading.local, Generic[T]):
    """Something that each thread has one of."""

    def __init__(self, make: Callable[[], T]) -> None:
        self.own = make()


def raw_socket(endpoint: Endpoint) -> Call:
    """Bytes made beforehand, one send, one receive, nothing parsed: the floor. Each thread has a socket."""
    request, mine = request_bytes(), OfThread(lambda: connected(endpoint))

    def call() -> object:
        mine.own.sendall(request)
        return mine.own.recv(16384)

    return call


def many_at_once(endpoint: Endpoint) -> Call:
    """Requests that follow each other on a raw socket without waiting, so that the server never waits, either."""
    requests, sock, length = request_bytes() * AT_ONCE, connected(endpoint), AT_ONCE * len(STARTED)

    def call() -> object:
        sock.sendall(requests)
        missing = length
        while missing:
            missing -= len(sock.recv(65536))
        return None

    return call


def http_client(endpoint: Endpoint) -> Call:
    """The standard library's client, with msgspec for the two bodies. Each thread has a connection."""
    from http.client import HTTPConnection, HTTPSConnection

    import msgspec

    from airplane_runbooks.models import StartedSession

    def connect() -> HTTPConnection:
        address = ("127.0.0.1", endpoint.port)
        if endpoint.ca:
            return HTTPSConnection(*address, timeout=30, context=endpoint.context())
        return HTTPConnection(*address, timeout=30)

    mine = OfThread(connect)
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    def call() -> object:
        mine.own.request("POST", PATH, encode(BODY), HEADERS)
        return decode(mine.own.getresponse().read())

    return call


def urllib3_pool(endpoint: Endpoint) -> Any:
    import urllib3

    options: dict[str, Any] = {"timeout": 30.0, "maxsize": 32}
    if endpoint.ca:
        return urllib3.HTTPSConnectionPool("127.0.0.1", endpoint.port, ssl_context=endpoint.context(), **options)
    return urllib3.HTTPConnectionPool("127.0.0.1", endpoint.port, **options)


def bare_urllib3(endpoint: Endpoint) -> Call:
    """The least that one can do with urllib3: a pool, a timeout, and msgspec for the two bodies."""
    import msgspec

    from airplane_runbooks.models import StartedSession

    pool = urllib3_pool(endpoint)
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    def call() -> object:
        return decode(pool.urlopen("POST", PATH, body=encode(BODY), headers=HEADERS).data)

    return call


def airplane_of(endpoint: Endpoint, **options: Any) -> Any:
    import opentelemetry.trace  # noqa: F401  # as in a service that is traced: without it the client reports nothing

    from airplane_runbooks import Airplane
    from airplane_runbooks.transports.urllib3 import Urllib3Transport

    transport = Urllib3Transport(ssl_context=endpoint.context()) if endpoint.ca else None
    return Airplane(KEY, base_url=f"{endpoint.origin}/v0", transport=transport, **options)


def ours(endpoint: Endpoint, **options: Any) -> Call:
    """`Airplane.runbooks.execute` with everything it does: checks, key, retries, deadline, telemetry by API only."""
    airplane = airplane_of(endpoint, **options)

    def call() -> object:
        return airplane.runbooks.execute("hello_world", param_values=VALUES)

    return call


def ours_unsampled(endpoint: Endpoint) -> Call:
    """The same with the OpenTelemetry SDK, no span sampled."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return ours(endpoint, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))


def ours_in_an_unsampled_trace(endpoint: Endpoint) -> Call:
    """The same in a service whose sampler has dropped the trace of the request that it handles."""
    from opentelemetry import context, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import DEFAULT_OFF

    provider = TracerProvider(sampler=DEFAULT_OFF)
    context.attach(trace.set_span_in_context(provider.get_tracer("service").start_span("GET /orders")))
    return ours(endpoint, tracer_provider=provider)


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
