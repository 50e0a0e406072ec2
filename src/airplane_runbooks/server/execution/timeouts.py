"""Attempts with a timeout, on threads and in tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from .call_results import CallResult

_TIMED_OUT: ContextVar[threading.Event | None] = ContextVar("timed_out", default=None)
_BLOCKED = 2.0  # seconds after which an event loop that does not even notice the timeout is taken for blocked
_CANCELLING = 1.0  # seconds for a coroutine to end after its cancellation


class Timeout(Exception):
    """An attempt, run or session did not end in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it did not return within {seconds:g} seconds")


def has_timed_out() -> bool:
    """Tell whether the timeout of the step that calls this has passed."""
    timed_out = _TIMED_OUT.get()
    return timed_out is not None and timed_out.is_set()


class TimedThread:
    """Calls of a plain function on threads, one after the other, each with a timeout.

    A thread cannot be ended: one that is late is abandoned. While it still runs, the next call waits for it, and times
    out as well if that takes as long.
    """

    def __init__(
        self,
        seconds: float,
        start: Callable[[], Future[CallResult]],
        wait: Callable[[Future[CallResult], float], Awaitable[bool]],
        abandon: Callable[[Future[CallResult]], None],
    ) -> None:
        self._seconds = seconds
        self._start = start
        self._wait = wait
        self._abandon = abandon
        self._last: Future[CallResult] | None = None

    async def __call__(self) -> Any:
        """Call and return the value. Raises Timeout, and the exception of the function."""
        if self._last is not None and not await self._wait(self._last, self._seconds):
            raise Timeout(self._seconds)
        timed_out = threading.Event()
        token = _TIMED_OUT.set(timed_out)
        try:
            self._last = self._start()
        finally:
            _TIMED_OUT.reset(token)
        if not await self._wait(self._last, self._seconds):
            timed_out.set()
            self._abandon(self._last)
            raise Timeout(self._seconds)
        return self._last.result().unwrap()


class TimedTask:
    """Calls of a coroutine function in tasks, one after the other, each cancelled after a timeout.

    A task that goes on after its cancellation is added to `abandoned`. A coroutine that blocks the event loop cannot be
    cancelled, so `limit` also bounds the call from outside.
    """

    def __init__(
        self,
        seconds: float,
        start: Callable[[], Coroutine[Any, Any, Any]],
        limit: Callable[[float], AbstractContextManager[None]],
        abandoned: set[asyncio.Task[Any]],
    ) -> None:
        self._seconds = seconds
        self._limit = limit
        self._start = start
        self._abandoned = abandoned
        self._last: asyncio.Task[CallResult] | None = None

    async def __call__(self) -> Any:
        """Call and return the value. Raises Timeout, and the exception of the function."""
        if self._last is not None and not await self._ends_in_time(self._last):
            raise Timeout(self._seconds)
        with self._limit(self._seconds + _CANCELLING + _BLOCKED):
            return await self._call()

    async def _call(self) -> Any:
        timed_out = threading.Event()
        token = _TIMED_OUT.set(timed_out)
        try:
            self._last = task = asyncio.create_task(CallResult.of_awaitable(self._start()))
        finally:
            _TIMED_OUT.reset(token)
        if await self._ends_in_time(task):
            return task.result().unwrap()
        timed_out.set()
        await self._cancel(task)
        raise Timeout(self._seconds)

    async def _ends_in_time(self, task: asyncio.Task[Any]) -> bool:
        try:
            return bool((await asyncio.wait({task}, timeout=self._seconds))[0])
        except asyncio.CancelledError:
            await self._cancel(task)
            raise

    async def _cancel(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        if not (await asyncio.wait({task}, timeout=_CANCELLING))[0]:
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)
