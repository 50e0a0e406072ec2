"""Attempts within their timeouts, on threads and in tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from .loops import ended
from .threads import Ended

_OVER: ContextVar[threading.Event | None] = ContextVar("over", default=None)
_STALLED = 2.0  # seconds after which a loop that does not even notice that time is up is taken for blocked
_LETTING_GO = 1.0  # seconds for a coroutine that has been cancelled to come to its end


class Timeout(Exception):
    """Something did not return in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it did not return within {seconds:g} seconds")


def is_over() -> bool:
    """Whether the step that asks has had its time."""
    over = _OVER.get()
    return over is not None and over.is_set()


class OnThread:
    """A plain function whose calls, one after the other, are given so many seconds.

    Its thread cannot be ended: a call that is late is given up. While it still runs there is no other one; that one has
    had its time as well if it would have to wait for as long.
    """

    def __init__(
        self,
        seconds: float,
        begin: Callable[[], Future[Ended]],
        wait: Callable[[Future[Ended], float], Awaitable[bool]],
        give_up: Callable[[Future[Ended]], None],
    ) -> None:
        self._seconds = seconds
        self._begin = begin
        self._wait = wait
        self._give_up = give_up
        self._last: Future[Ended] | None = None

    async def __call__(self) -> Any:
        """Call, and return what was returned. Raises what was raised, and Timeout."""
        if self._last is not None and not await self._wait(self._last, self._seconds):
            raise Timeout(self._seconds)
        over = threading.Event()
        token = _OVER.set(over)
        try:
            self._last = self._begin()
        finally:
            _OVER.reset(token)
        if not await self._wait(self._last, self._seconds):
            over.set()
            self._give_up(self._last)
            raise Timeout(self._seconds)
        return self._last.result().result()


class InTask:
    """A coroutine function whose calls, one after the other, are given so many seconds, and cancelled then.

    One that goes on nevertheless is given up: it stays in `given_up`. One that blocks the event loop cannot be
    cancelled; so all of it is `bounded` from outside as well.
    """

    def __init__(
        self,
        seconds: float,
        begin: Callable[[], Coroutine[Any, Any, Any]],
        bounded: Callable[[float], AbstractContextManager[None]],
        given_up: set[asyncio.Task[Any]],
    ) -> None:
        self._seconds = seconds
        self._bounded = bounded
        self._begin = begin
        self._given_up = given_up
        self._last: asyncio.Task[Ended] | None = None

    async def __call__(self) -> Any:
        """Call, and return what was returned. Raises what was raised, and Timeout."""
        if self._last is not None and not await self._has_ended(self._last):
            raise Timeout(self._seconds)
        with self._bounded(self._seconds + _LETTING_GO + _STALLED):
            return await self._begun()

    async def _begun(self) -> Any:
        over = threading.Event()
        token = _OVER.set(over)
        try:
            self._last = task = asyncio.create_task(ended(self._begin()))
        finally:
            _OVER.reset(token)
        if await self._has_ended(task):
            return task.result().result()
        over.set()
        await self._cancel(task)
        raise Timeout(self._seconds)

    async def _has_ended(self, task: asyncio.Task[Any]) -> bool:
        try:
            return bool((await asyncio.wait({task}, timeout=self._seconds))[0])
        except asyncio.CancelledError:
            await self._cancel(task)
            raise

    async def _cancel(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        if not (await asyncio.wait({task}, timeout=_LETTING_GO))[0]:
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)
