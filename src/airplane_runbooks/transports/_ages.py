"""Ages at which connections are given up: balancers and firewalls forget idle ones, and deploys move servers."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from ..errors import ConfigurationError

# Seconds. Many balancers close connections that have been idle for a minute.
DEFAULT_MAX_CONNECTION_IDLE = 55.0
DEFAULT_MAX_CONNECTION_AGE = 600.0


class ConnectionAges(NamedTuple):
    """Seconds that a connection is kept while it is idle, and at all."""

    idle: float
    age: float

    @classmethod
    def of(cls, max_connection_idle: float | None, max_connection_age: float | None) -> ConnectionAges:
        """Check the settings of a transport; None means that connections are kept. Raises ConfigurationError."""
        return cls(
            _seconds("max_connection_idle", max_connection_idle), _seconds("max_connection_age", max_connection_age)
        )

    def have_passed(self, opened: float, used: float, now: float) -> bool:
        """Return True if a connection that was opened, and last used, at these times must not be used again."""
        return now - used > self.idle or now - opened > self.age


def _seconds(name: str, value: float | None) -> float:
    if value is None:
        return inf
    if not (isinstance(value, int | float) and value > 0):
        raise ConfigurationError(f"{name} must be a positive number of seconds or None, not {value!r}")
    return value
