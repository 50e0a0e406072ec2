"""Settings that the transports with connections of their own have in common."""

from __future__ import annotations

from msgspec import UnsetType

from ..errors import ConfigurationError
from ._ages import ConnectionAges
from ._proxies import Proxies


def checked_settings(
    *,
    pool_size: int,
    max_response_bytes: int,
    proxy: str | UnsetType | None,
    max_connection_idle: float | None,
    max_connection_age: float | None,
) -> tuple[Proxies, ConnectionAges]:
    """Return what a transport makes of its settings. Raises ConfigurationError, naming one that cannot work."""
    try:
        proxies = Proxies.of(proxy)
    finally:
        del proxy  # a traceback that shows local variables must not show its password
    at_least_one("pool_size", pool_size)
    at_least_one("max_response_bytes", max_response_bytes)
    return proxies, ConnectionAges.of(max_connection_idle, max_connection_age)


def at_least_one(name: str, value: int) -> None:
    """Raise ConfigurationError unless a setting is an integer from 1."""
    if not (isinstance(value, int) and value >= 1):
        raise ConfigurationError(f"{name} must be an integer of at least 1, not {value!r}")
