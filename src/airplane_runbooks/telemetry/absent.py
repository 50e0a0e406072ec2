"""Telemetry of a client in a process that has not loaded OpenTelemetry: nothing is reported, and nothing is loaded.

Code that sets a provider, attaches a context or instruments a library has loaded OpenTelemetry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import CallSpan, ClientTelemetry
else:
    CallSpan = ClientTelemetry = Any  # keeps `get_type_hints` working; loading them loads OpenTelemetry

_PACKAGE = "opentelemetry"


class AbsentTelemetry:
    """Stands in for a client's telemetry until the process has loaded OpenTelemetry.

    Args:
        load: Puts the client's telemetry in the place of this, and returns it.
    """

    def __init__(self, load: Callable[[], ClientTelemetry]) -> None:
        self._load = load

    def is_idle(self) -> bool:
        """Tell whether OpenTelemetry is still absent."""
        return _PACKAGE not in sys.modules

    def begin(self, operation: str) -> CallSpan:
        """Load the client's telemetry, and begin the span of an operation with it."""
        return self._load().begin(operation)


def is_absent() -> bool:
    """Tell whether OpenTelemetry has not been loaded by this process, nor is asked for by its environment."""
    return _PACKAGE not in sys.modules and not any(name.startswith("OTEL_") for name in os.environ)
