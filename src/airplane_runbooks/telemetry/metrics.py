"""Histograms of calls and attempts."""

from __future__ import annotations

from opentelemetry import metrics
from opentelemetry.context import Context

from .guard import Guard
from .spans import SCHEMA_URL
from .values import Attributes

ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
CALL_BUCKETS = (*ATTEMPT_BUCKETS, 30, 60, 120)

# The module in which the API keeps the meter provider of the process, as `_METER_PROVIDER`.
PROVIDER_MODULE = getattr(metrics, "_internal", metrics)


class Durations:
    """Records the durations of calls and attempts. Exceptions of the provider are suppressed by the guard."""

    def __init__(self, scope: str, version: str, guard: Guard, meter_provider: metrics.MeterProvider | None) -> None:
        self._guard = guard
        meter = metrics.get_meter(scope, version, meter_provider, SCHEMA_URL)
        self._calls = meter.create_histogram(
            "airplane.client.operation.duration",
            unit="s",
            description="Duration of calls, all attempts and waits included.",
            explicit_bucket_boundaries_advisory=CALL_BUCKETS,
        )
        self._attempts = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=ATTEMPT_BUCKETS,
        )

    def record_call(self, seconds: float, attributes: Attributes) -> None:
        """Record one call."""
        try:
            self._calls.record(seconds, attributes)
        except Exception as failure:  # noqa: BLE001  # the provider's, of any kind
            self._guard.note(failure)

    def record_attempt(self, seconds: float, attributes: Attributes, context: Context | None) -> None:
        """Record one attempt; its context links the measurement to a trace."""
        try:
            self._attempts.record(seconds, attributes, context)
        except Exception as failure:  # noqa: BLE001  # the provider's, of any kind
            self._guard.note(failure)
