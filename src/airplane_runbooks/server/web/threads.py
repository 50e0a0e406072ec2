"""Threads on which requests are answered, and a limit on the requests being answered at a time."""

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
    """Small thread pool for an event loop. It admits at most `max_requests` at a time."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="runbook-api")
        self._requests = 0  # touched by the event loop only

    @contextmanager
    def admit(self) -> Generator[None]:
        """Count a request for as long as it is being answered. Raises TooMany."""
        if self._requests >= self._max_requests:
            raise TooMany("too_many_requests", "the server is answering as many requests as it can")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on a thread and return its result. Raises Closing once closed, and anything it raises."""
        try:
            future = self._pool.submit(function, *args, **kwargs)
        except RuntimeError:
            raise Closing("closing", "the server is closing") from None
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish the requests that are being answered, and take no more."""
        self._pool.shutdown(wait=True)
