"""Telemetry of a client in a process that has not loaded OpenTelemetry: nothing is reported, and nothing is loaded.

Code that sets a provider, attaches a context or instruments a library has loaded OpenTelemetry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Protocol

from ..http import Headers

_PACKAGE = "opentelemetry"


class OperationSpan(Protocol):
    """The span of an operation that has begun."""

    def end(
        self,
        attempts: int,
        failure: BaseException | None,
        session_id: object = None,
        sent: tuple[Headers, ...] = (),
    ) -> None:
        """Record the result of the operation."""
        ...


class Telemetry(Protocol):
    """The telemetry of a client, as its core uses it."""

    def is_idle(self) -> bool:
        """Tell whether telemetry goes nowhere yet."""
        ...

    def begin(self, operation: str) -> OperationSpan:
        """Begin the span of an operation."""
        ...


class AbsentTelemetry:
    """Stands in for a client's telemetry until the process has loaded OpenTelemetry.

    Args:
        load: Puts the client's telemetry in the place of this, and returns it.
    """

    def __init__(self, load: Callable[[], Telemetry]) -> None:
        self._load = load

    def is_idle(self) -> bool:
        """Tell whether OpenTelemetry is still absent."""
        return _PACKAGE not in sys.modules

    def begin(self, operation: str) -> OperationSpan:
        """Load the client's telemetry, and begin the span of an operation with it."""
        return self._load().begin(operation)


def is_absent() -> bool:
    """Tell whether OpenTelemetry has not been loaded by this process, nor is asked for by its environment."""
    return _PACKAGE not in sys.modules and not any(name.startswith("OTEL_") for name in os.environ)
