"""Objects that requests wait for: read again once for each change, however many requests wait.

The event loop has all of the state. Changes are told on any thread; those that concern an object that is waited for
wake the loop, once for many.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Protocol

from ..errors import ApiError, InternalError
from ..logs import describe
from .api.snapshots import Snapshot
from .threads import RequestThreads

logger = logging.getLogger(__name__)

_READERS = 4  # objects that are read again at a time; the other threads are for calls

Read = Callable[[str], Snapshot]
Key = tuple[Read, str]


class Waiter(Protocol):
    """A request that waits for a change of one object."""

    def offer(self, outcome: Snapshot | ApiError) -> None:
        """Take the state of the object, which may have changed, or the error in its place."""
        ...


class Watched:
    """One object that is waited for. `run_ids` are known from the first snapshot on."""

    __slots__ = ("heard", "is_dirty", "is_reading", "key", "run_ids", "waiters")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.waiters: dict[Waiter, None] = {}
        self.run_ids: Collection[str] = ()
        self.heard: set[str] = set()  # changes of any runs, as long as its own are not known
        self.is_reading = False
        self.is_dirty = False


class Watch:
    """All objects that are waited for."""

    def __init__(self, threads: RequestThreads) -> None:
        self._threads = threads
        self._readers = asyncio.Semaphore(_READERS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: dict[Key, Watched] = {}
        self._new: set[Watched] = set()
        self._by_run: dict[str, set[Watched]] = {}
        self._lock = threading.Lock()  # of what follows, which other threads write
        self._changes: set[str] = set()
        self._missed = False
        self._is_told = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def join(self, key: Key, waiter: Waiter) -> Watched:
        """Watch an object for a waiter. Its changes count from here on, so the waiter reads it afterwards."""
        self._loop = asyncio.get_running_loop()
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = Watched(key)
            self._new.add(watched)
        watched.waiters[waiter] = None
        return watched

    def place(self, watched: Watched, run_ids: Collection[str]) -> None:
        """Watch an object by its runs, now that they are known."""
        if watched not in self._new:
            return
        watched.run_ids = run_ids
        for run_id in run_ids:
            self._by_run.setdefault(run_id, set()).add(watched)
        self._new.discard(watched)  # only now, so that no change falls between the two
        if not watched.heard.isdisjoint(run_ids):
            self._look(watched)
        watched.heard.clear()

    def leave(self, watched: Watched, waiter: Waiter) -> None:
        """Watch an object for one waiter less."""
        watched.waiters.pop(waiter, None)
        if watched.waiters or self._watched.get(watched.key) is not watched:
            return
        del self._watched[watched.key]
        self._new.discard(watched)
        for run_id in watched.run_ids:
            self._by_run[run_id].discard(watched)
            if not self._by_run[run_id]:
                del self._by_run[run_id]

    def tell(self, changes: Collection[str] | None) -> None:
        """Take the IDs of runs that have changed, None if some may have been missed. Thread-safe."""
        if not self._watched:
            return
        with self._lock:
            if changes is None:
                self._missed = True
            elif self._new:
                self._changes.update(changes)
            elif concerned := [run_id for run_id in changes if run_id in self._by_run]:
                self._changes.update(concerned)
            else:
                return
            if self._is_told or self._loop is None:
                return
            self._is_told = True
        with suppress(RuntimeError):  # the loop has been closed, so no request waits any more
            self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        with self._lock:
            changes, missed = self._changes, self._missed
            self._changes, self._missed, self._is_told = set(), False, False
        for watched in self._new:
            watched.heard |= changes
        concerned = {watched for run_id in changes for watched in self._by_run.get(run_id, ())}
        for watched in list(self._watched.values()) if missed else concerned:
            self._look(watched)

    def _look(self, watched: Watched) -> None:
        watched.is_dirty = True
        if not watched.is_reading:
            watched.is_reading = True
            task = asyncio.get_running_loop().create_task(self._read(watched))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self, watched: Watched) -> None:
        """Read an object until it has been read after its last change, or is not waited for any more."""
        while watched.is_dirty and watched.waiters:
            async with self._readers:
                watched.is_dirty = False  # before the read, which might not see a later change
                outcome = await self._outcome(watched.key)
            for waiter in list(watched.waiters):
                waiter.offer(outcome)
        watched.is_reading = False

    async def _outcome(self, key: Key) -> Snapshot | ApiError:
        read, object_id = key
        try:
            return await self._threads.run(read, object_id)
        except ApiError as problem:
            return problem
        except Exception as problem:  # noqa: BLE001 - the waiting callers learn of it, as those who call do
            logger.error("a changed object cannot be read: %s", describe(problem))  # noqa: TRY400 - see describe
            return InternalError("internal_error", "the server failed to answer")
