"""Metrics in the format of Prometheus, with the names that the collector's exporter gives them, too."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

RESOURCE = Resource({"service.name": "figures"})


@contextmanager
def exposed(*readers: MetricReader) -> Generator[tuple[MeterProvider, CollectorRegistry]]:
    """Yield a provider of meters, and the registry that has what they record. Further readers get the same."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry), *readers], RESOURCE)
    try:
        yield provider, registry
    finally:
        provider.shutdown()


def samples(registry: CollectorRegistry) -> Iterator[Sample]:
    """Yield all samples, those of histograms by bucket."""
    for family in registry.collect():
        yield from family.samples
