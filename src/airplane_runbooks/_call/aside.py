"""Work that an event loop must not wait for, on a thread that lives as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..models.decoding import OutOfTime

T = TypeVar("T")


async def call_aside(function: Callable[[], T], seconds: float | None) -> T:
    """Return what a function returns on a thread of its own.

    Raises OutOfTime after so many seconds; the thread is left to itself then, so the function must come to an end.
    The loop's own executor may be full of work that never ends.
    """
    executor = ThreadPoolExecutor(1, "airplane-runbooks-decode")
    try:
        work = executor.submit(function)
    except RuntimeError:  # no more threads can be had
        return function()
    try:
        return await asyncio.wait_for(asyncio.wrap_future(work), seconds)
    except TimeoutError:
        raise OutOfTime from None
    finally:
        executor.shutdown(wait=False)
