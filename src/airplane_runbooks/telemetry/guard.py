"""Guards against telemetry components that raise: the failure is logged once and changes no result."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger
else:
    Logger = Any  # for those who read annotations


class Mishaps:
    """Keeps exceptions in, as a context manager for any number of threads; all but such as KeyboardInterrupt.

    The first one of its life is logged, by its class alone: a message may hold anything.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._told = False

    def __enter__(self) -> None:
        """Begin to keep exceptions in."""

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(problem, Exception):
            return False
        if not self._told:
            self._told = True
            name = type_name(problem)
            self._logger.warning("telemetry is incomplete: %s", name, extra={"error_type": name})
        return True


def type_name(failure: BaseException) -> str:
    """Return the full name of an exception's class, the value of `error.type` where no status explains it."""
    return f"{type(failure).__module__}.{type(failure).__qualname__}"
