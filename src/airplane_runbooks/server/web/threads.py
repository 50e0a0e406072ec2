"""The threads on which calls are answered, and how many calls there may be at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from ..errors import Closing, TooMany

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 8


class RequestThreads:
    """A small pool of threads for an event loop, which admits at most `most` calls at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="runbook-api")
        self._calls = 0  # touched by the event loop only

    @contextmanager
    def admit(self) -> Generator[None]:
        """Count a call for as long as it is being answered. Raises TooMany."""
        if self._calls >= self._most:
            raise TooMany("too_many_requests", "the server is answering as many calls as it can")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on a thread and return its result. Raises Closing after the end, and what it raises."""
        try:
            future = self._pool.submit(function, *args, **kwargs)
        except RuntimeError:
            raise Closing("closing", "the server is closing") from None
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish the calls that are being answered, and take no more."""
        self._pool.shutdown(wait=True)
