"""A receiver of OTLP over HTTP, and a collector that passes on to it what it gets."""

from __future__ import annotations

import gzip
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE = 20.0  # seconds for what takes well below one on an idle machine


@dataclass
class Received:
    """A span or a metric with what it belongs to.

    Attributes:
        data: The protobuf message.
        resource: The attributes of its resource.
        scope: Name and version of its scope.
        schema_url: The schema of its scope.
    """

    data: Any
    resource: dict[str, Any]
    scope: tuple[str, str]
    schema_url: str


class Receiver:
    """Receiver on loopback, inside of a `with` statement, of all that is exported to it.

    Attributes:
        spans: All spans so far.
        metrics: All metrics so far, those of each export anew.
        everything: All requests so far: headers, and body without its compression.
    """

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.metrics: list[Received] = []
        self.everything = b""
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, predicate: Callable[[Receiver], object]) -> None:
        """Return once the predicate holds of what has arrived."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: predicate(self), PATIENCE):
                names = [one.data.name for one in (*self.spans, *self.metrics)]
                raise TimeoutError(f"what was waited for has not arrived, but only {names}")

    def receive(self, path: str, headers: bytes, body: bytes) -> bytes:
        """Take an export in, and return the answer to it."""
        with self._arrived:
            self.everything += headers + body
            if path == "/v1/traces":
                self.spans += _spans(ExportTraceServiceRequest.FromString(body))
                answer: Any = ExportTraceServiceResponse()
            else:
                assert path == "/v1/metrics"
                self.metrics += _metrics(ExportMetricsServiceRequest.FromString(body))
                answer = ExportMetricsServiceResponse()
            self._arrived.notify_all()
        return answer.SerializeToString()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receive = self.receive

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                answer = receive(self.path, self.headers.as_bytes(), body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def plain(attributes: Any) -> dict[str, Any]:
    """Return the attributes of a protobuf message as a dictionary."""
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def _spans(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource in request.resource_spans:
        for part in resource.scope_spans:
            yield from (_received(span, resource, part) for span in part.spans)


def _metrics(request: ExportMetricsServiceRequest) -> Iterator[Received]:
    for resource in request.resource_metrics:
        for part in resource.scope_metrics:
            yield from (_received(metric, resource, part) for metric in part.metrics)


def _received(data: Any, resource: Any, part: Any) -> Received:
    return Received(data, plain(resource.resource.attributes), (part.scope.name, part.scope.version), part.schema_url)


@contextmanager
def collecting(receiver: Receiver, folder: Path) -> Iterator[str]:
    """Run a collector in front of a receiver, and yield the endpoint for OTLP over HTTP.

    What it prints is printed at the end, for pytest to show if a test fails.
    """
    output = folder / "collector.txt"
    with _reserved_port() as http, _reserved_port() as grpc, output.open("w") as file:
        command = [
            *(str(distribution("rotel").locate_file("rotel/rotel-agent")), "start"),
            *("--otlp-http-endpoint", f"127.0.0.1:{http}"),
            *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
            *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
            *("--otlp-exporter-endpoint", receiver.endpoint),
            *("--batch-timeout", "20ms"),
        ]
        # an empty environment, for it would take settings and proxies from there
        with subprocess.Popen(command, env={}, cwd=folder, stdout=file, stderr=file) as collector:
            try:
                _wait_until_listening(http, collector)
                yield f"http://127.0.0.1:{http}"
            finally:
                collector.kill()
                collector.wait()
                print(output.read_text())  # noqa: T201


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Yield a reserved port: it is bound but not listened on, so that only a child can."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, "the collector has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < give_up, "the collector does not listen"
            time.sleep(0.02)
