"""Figures of a transport's connection pools, and the protocol of transports that have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import msgspec


class PoolFigures(msgspec.Struct, frozen=True):
    """Connections to one origin at one moment, and the requests that wait for one. Two can be added.

    Attributes:
        active: Connections that carry a request, or are being opened for one.
        idle: Open connections that carry none.
        waiting: Requests that wait for a connection because all are in use.
    """

    active: int = 0
    idle: int = 0
    waiting: int = 0

    def __add__(self, other: PoolFigures) -> PoolFigures:
        return PoolFigures(self.active + other.active, self.idle + other.idle, self.waiting + other.waiting)


@runtime_checkable
class PooledTransport(Protocol):
    """A transport, sync or async, that can tell the figures of its pools. `pool_metrics` of a client reads them."""

    def pool_figures(self) -> Mapping[str, PoolFigures]:
        """Return the figures of each origin, such as `https://api.airplane.dev`; none once the transport is closed.

        Any thread may call this at any time. It does not wait.
        """
        ...
