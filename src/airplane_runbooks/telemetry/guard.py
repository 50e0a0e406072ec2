"""Guards against telemetry components that raise: the failure is logged once and changes no result."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger
else:
    Logger = Any  # keeps `get_type_hints` working without loading logging


class Guard:
    """Context manager that suppresses exceptions of telemetry components. Threads may share one instance.

    The first exception is logged with its `effect`, later ones are not. The log shows its class alone: a message may
    hold secrets.
    Exceptions that are not an `Exception`, such as KeyboardInterrupt, pass through.
    """

    def __init__(self, logger: Logger, effect: str = "telemetry is incomplete") -> None:
        self._logger = logger
        self._effect = effect
        self._has_logged = False

    def __enter__(self) -> None:
        """Start to suppress exceptions."""

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(failure, Exception):
            return False
        self.note(failure)
        return True

    def note(self, failure: Exception) -> None:
        """Log an exception that was suppressed elsewhere: to enter a context takes time, and `except` does not."""
        if not self._has_logged:
            self._has_logged = True
            name = type_name(failure)
            self._logger.warning("%s: %s", self._effect, name, extra={"error_type": name})


def type_name(failure: BaseException) -> str:
    """Return the qualified name of an exception's class: the value of `error.type` where no status explains it."""
    return f"{type(failure).__module__}.{type(failure).__qualname__}"
