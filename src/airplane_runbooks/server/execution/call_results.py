"""Results of calls that are waited for elsewhere: on another thread, or in another task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple


class CallResult(NamedTuple):
    """A returned value, or a raised exception. Futures and tasks hold it as a value: they refuse some exceptions."""

    value: Any
    exception: BaseException | None

    @classmethod
    def of(cls, function: Callable[[], Any]) -> CallResult:
        """Call a function and return its result."""
        try:
            return cls(function(), None)
        except BaseException as problem:  # noqa: BLE001 - raised where the result is waited for
            return cls(None, problem)

    @classmethod
    async def of_awaitable(cls, awaitable: Awaitable[Any]) -> CallResult:
        """Await and return the result."""
        try:
            return cls(await awaitable, None)
        except BaseException as problem:  # noqa: BLE001 - raised where the result is waited for
            return cls(None, problem)

    def unwrap(self) -> Any:
        """Return the value, or raise the exception."""
        if self.exception is not None:
            raise self.exception
        return self.value
