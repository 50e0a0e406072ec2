"""Tells the server's own trouble from what a runbook's code raises: by where it comes from, never by its class.

An execution reaches the store through `guarded`, and what else of the server may fail it does `apart`. Whatever is
raised there comes out as EngineTrouble, which no runbook takes for an error of its own.
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
from .signals import EngineTrouble, Halt

T = TypeVar("T")

# what the system lacks (threads: RuntimeError), and a key that another server may have
_PASSING = (OSError, MemoryError, RuntimeError, VaultError)

_AGAIN = (0.0, 0.05, 0.1)  # seconds before a call of the store is repeated: connections that were cut are replaced
_LONGEST_TRY = 1.0  # seconds of that; an event loop may be waiting for it
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 2.0
_PATIENCE = 60.0  # seconds to record what has been done; to do it again would be worse than to wait


def guarded(store: Store, ended: Callable[[Halt], Halt] = lambda halt: halt) -> Store:
    """Return the store with calls that are repeated a few times and then raise EngineTrouble, whatever it raised.

    `ended` hears of the trouble, and returns what to raise.
    """
    return cast("Store", _Guarded(store, ended))


@contextmanager
def apart(ended: Callable[[Halt], Halt] = lambda halt: halt) -> Generator[None]:
    """Turn what is raised inside, where no code of a runbook's runs, into EngineTrouble."""
    try:
        yield
    except Exception as problem:
        raise ended(trouble(problem)) from problem


def trouble(problem: Exception) -> EngineTrouble:
    """Return what the server's own trouble is known as."""
    passes = problem.retryable if isinstance(problem, ApiError) else isinstance(problem, _PASSING)
    return EngineTrouble(describe(problem), passes=passes)


async def insist(call: Callable[[], T], wait: Callable[[float], Awaitable[bool]]) -> T:
    """Call until there is no trouble, for a minute at most, and as long as this process has the database.

    `wait` waits, and tells whether the server stops.
    """
    give_up = time.monotonic() + _PATIENCE
    delay = _FIRST_DELAY
    while True:
        try:
            return call()
        except EngineTrouble as problem:
            is_over = isinstance(problem.__cause__, DatabaseClosed) or time.monotonic() > give_up
            if is_over or await wait(delay):
                raise
        delay = min(delay * 2, _LONGEST_DELAY)


class _Guarded:
    def __init__(self, store: Store, ended: Callable[[Halt], Halt]) -> None:
        self._store = store
        self._ended = ended

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._store, name)

        def repeated(*args: Any, **kwargs: Any) -> Any:
            give_up = time.monotonic() + _LONGEST_TRY
            for delay in _AGAIN:
                try:
                    return call(*args, **kwargs)
                except Exception:  # noqa: BLE001 - every call may be repeated, as the store's protocol says
                    if time.monotonic() > give_up:
                        break
                    time.sleep(delay)
            with apart(self._ended):
                return call(*args, **kwargs)

        return repeated
