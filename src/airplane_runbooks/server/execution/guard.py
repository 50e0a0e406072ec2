"""Tells failures of the server from exceptions of a runbook: by where they are raised, never by their class.

An execution reaches the store through `guarded_store`, and other parts of the server that may fail are called inside
`as_server_failure`. Exceptions raised there become ServerFailure, which a runbook cannot take for an error of its own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from ..errors import ApiError
from ..logs import describe
from ..secrets.vault import VaultError
from ..storage.errors import DatabaseClosed
from ..storage.interface import Store
from .signals import ServerFailure, Signal

T = TypeVar("T")

# a lack of memory, files or threads (RuntimeError), or a key that another server may have
_TEMPORARY = (OSError, MemoryError, RuntimeError, VaultError)

RETRY_DELAYS = (
    0.0,
    0.05,
    0.1,
)  # seconds before a call of the store is repeated, on a new connection if one was cut
_LONGEST_RETRYING = 1.0  # seconds; an event loop may be waiting for the call
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 2.0
PATIENCE = 60.0  # seconds to record the end of a step: repeating the step would be worse than waiting


def _unchanged(signal: Signal) -> Signal:
    return signal


def guarded_store(store: Store, on_failure: Callable[[Signal], Signal] = _unchanged) -> Store:
    """Return the store with calls that are repeated a few times and then raise ServerFailure.

    `on_failure` is called with the failure, and returns the signal to raise.
    """
    return cast("Store", _GuardedStore(store, on_failure))


@contextmanager
def as_server_failure(on_failure: Callable[[Signal], Signal] = _unchanged) -> Generator[None]:
    """Turn exceptions raised inside, where no code of a runbook runs, into ServerFailure."""
    try:
        yield
    except Exception as problem:
        raise on_failure(server_failure(problem)) from problem


def server_failure(problem: Exception) -> ServerFailure:
    """Return the signal for an exception of the server."""
    is_temporary = problem.retryable if isinstance(problem, ApiError) else isinstance(problem, _TEMPORARY)
    text = str(problem) if isinstance(problem, VaultError) else describe(problem)
    return ServerFailure(text, is_temporary=is_temporary)


async def retry_until_available(call: Callable[[], T], wait: Callable[[float], Awaitable[bool]]) -> T:
    """Call until there is no ServerFailure, for at most a minute, and as long as this process has the database.

    `wait` waits some seconds and returns True if the server is stopping.
    """
    give_up = time.monotonic() + PATIENCE
    delay = _FIRST_DELAY
    while True:
        try:
            return call()
        except ServerFailure as failure:
            is_final = isinstance(failure.__cause__, DatabaseClosed) or time.monotonic() > give_up
            if is_final or await wait(delay):
                raise
        delay = min(delay * 2, _LONGEST_DELAY)


class _GuardedStore:
    def __init__(self, store: Store, on_failure: Callable[[Signal], Signal]) -> None:
        self._store = store
        self._on_failure = on_failure

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._store, name)

        def repeated(*args: Any, **kwargs: Any) -> Any:
            give_up = time.monotonic() + _LONGEST_RETRYING
            for delay in RETRY_DELAYS:
                try:
                    return call(*args, **kwargs)
                except Exception:  # noqa: BLE001 - every call may be repeated, as the store's protocol says
                    if time.monotonic() > give_up:
                        break
                    time.sleep(delay)
            with as_server_failure(self._on_failure):
                return call(*args, **kwargs)

        return repeated
