"""Metrics of connection pools. They are read when a reader of metrics collects, and cost calls nothing."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from ..errors import ConfigurationError
from ..pools import PooledTransport, PoolFigures
from .attributes import server_attributes
from .client import SCOPE
from .guard import Guard
from .log import logger
from .once import OncePerProvider
from .values import Attributes, Value


def observe_pool(transport: object, version: str, meter_provider: metrics.MeterProvider | None = None) -> None:
    """Report the figures of a transport's pools, if it has any, for as long as it lives.

    Raises ConfigurationError if there can be no weak reference to the transport.
    """
    if isinstance(transport, PooledTransport):
        _METRICS.get(meter_provider, SCOPE, version).add(transport)


class _PoolMetrics:
    """The metrics of all pools that report to one provider: the sums of the figures of all that lead to one server."""

    def __init__(self) -> None:
        self._transports: dict[int, weakref.ref[PooledTransport]] = {}
        self._guard = Guard(logger)

    def start(self, meter: metrics.Meter) -> None:
        """Make the instruments."""
        meter.create_observable_up_down_counter(
            "http.client.open_connections",
            callbacks=[self._connections],
            unit="{connection}",
            description="Number of outbound HTTP connections that are currently active or idle on the client.",
        )
        meter.create_observable_up_down_counter(
            "airplane.client.connection.pending_requests",
            callbacks=[self._pending_requests],
            unit="{request}",
            description="Number of requests that wait for a connection because all are in use.",
        )

    def add(self, transport: PooledTransport) -> None:
        """Report a transport's figures from now on. No lock guards the dictionary: a fork could copy it locked."""
        key = id(transport)
        try:
            self._transports[key] = weakref.ref(transport, lambda _: self._transports.pop(key, None))
        except TypeError:
            name = type(transport).__name__
            raise ConfigurationError(f"pool_metrics: {name} needs __weakref__ among its __slots__") from None

    def _connections(self, _: CallbackOptions) -> list[Observation]:
        return [
            Observation(number, {"http.connection.state": state, **server})
            for server, figures in self._by_server()
            for state, number in (("active", figures.active), ("idle", figures.idle))
        ]

    def _pending_requests(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(figures.waiting, server) for server, figures in self._by_server()]

    def _by_server(self) -> Iterable[tuple[Attributes, PoolFigures]]:
        """Return the attributes of each server, with the sum of its figures over all transports."""
        found: dict[tuple[tuple[str, Value], ...], PoolFigures] = {}
        for reference in self._transports.copy().values():
            if (transport := reference()) is None:
                continue
            with self._guard:
                for origin, figures in transport.pool_figures().items():
                    if server := tuple(server_attributes(origin).items()):
                        found[server] = found.get(server, PoolFigures()) + figures
        return [(dict(server), figures) for server, figures in found.items()]


_METRICS = OncePerProvider(_PoolMetrics, _PoolMetrics.start)
