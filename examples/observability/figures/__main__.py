"""Shows the figures of a client and a server: `python -m figures`. It needs no other service.

With `--port 9464` it goes on until Ctrl-C, and Prometheus can read the figures from that port. With `--otlp` it goes
on, too, and exports metrics and traces to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, http://localhost:4318
by default.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server
from prometheus_client.samples import Sample

from .exposition import RESOURCE, exposed, samples
from .traffic import traffic

OF_SCOPES = "otel_scope_"
PAUSE_SECONDS = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Make traffic, and print its figures or export them."""
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("--port", type=int, help="let Prometheus read the figures from this port")
    parser.add_argument("--otlp", action="store_true", help="export metrics and traces to a collector")
    options = parser.parse_args(arguments)
    tracers = TracerProvider(resource=RESOURCE)
    readers: list[MetricReader] = []
    if options.otlp:
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    with exposed(*readers) as (provider, registry), traffic(provider, tracers) as flowing:
        if options.port is not None:
            start_http_server(options.port, addr="127.0.0.1", registry=registry)
        flowing.flow()
        for line in table(samples(registry)):
            print(line)
        with suppress(KeyboardInterrupt):
            while options.port is not None or options.otlp:
                time.sleep(PAUSE_SECONDS)
                flowing.flow()
    tracers.shutdown()
    return 0


def table(found: Iterable[Sample]) -> list[str]:
    """Return a line for each series but those of buckets, its metric and labels before its value."""
    shown = {
        (sample.name, _labels(sample)): sample.value
        for sample in found
        if not sample.name.endswith(("_bucket", "_created", "_info"))
    }
    return [f"{value:10.4g}  {name}{labels}" for (name, labels), value in sorted(shown.items())]


def _labels(sample: Sample) -> str:
    told = [f'{name}="{value}"' for name, value in sorted(sample.labels.items()) if not name.startswith(OF_SCOPES)]
    return "{" + ", ".join(told) + "}" if told else ""


if __name__ == "__main__":
    raise SystemExit(main())
