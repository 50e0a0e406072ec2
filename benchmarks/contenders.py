"""The same call, made in different ways: each factory returns a function that makes it once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

Call = Callable[[], object]

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


def raw_socket(port: int) -> Call:
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


def bare_urllib3(port: int) -> Call:
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


def httpx_json(port: int) -> Call:
    """Httpx with its own JSON."""
    import httpx

    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, headers=HEADERS, trust_env=False)

    def call() -> object:
        return client.post(PATH, json={"slug": "hello_world", "paramValues": VALUES}).json()["sessionID"]

    return call


def ours(port: int, **options: Any) -> Call:
    """`Airplane.runbooks.execute` with everything it does: checks, key, retries, deadline, telemetry by API only."""
    from airplane_runbooks import Airplane

    airplane = Airplane(KEY, base_url=f"http://127.0.0.1:{port}/v0", **options)

    def call() -> object:
        return airplane.runbooks.execute(slug="hello_world", param_values=VALUES)

    return call


def ours_unsampled(port: int) -> Call:
    """The same with the OpenTelemetry SDK, no span sampled."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return ours(port, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))


def ours_sampled(port: int) -> Call:
    """The same with every span sampled and handed to a batch processor."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Dropping(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # drops them
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    return ours(port, tracer_provider=provider)


REFERENCE = "bare urllib3"
CONTENDERS: dict[str, Callable[[int], Call]] = {
    "raw socket": raw_socket,
    REFERENCE: bare_urllib3,
    "ours": ours,
    "ours, SDK unsampled": ours_unsampled,
    "ours, SDK sampled": ours_sampled,
    "httpx": httpx_json,
}
