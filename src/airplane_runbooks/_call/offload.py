"""Decoding of large bodies without blocking an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..models.decoding import OutOfTime

T = TypeVar("T")


async def call_in_thread(function: Callable[[], T], seconds: float | None) -> T:
    """Return the result of a function, called in a thread of its own: the loop's executor may be busy for ever.

    Raises OutOfTime after this many seconds. The thread is not stopped then, so the function must end by itself.
    """
    executor = ThreadPoolExecutor(1, "airplane-runbooks-decode")
    try:
        work = executor.submit(function)
    except RuntimeError:  # the process cannot start another thread
        return function()
    try:
        return await asyncio.wait_for(asyncio.wrap_future(work), seconds)
    except TimeoutError:
        raise OutOfTime from None
    finally:
        executor.shutdown(wait=False)
