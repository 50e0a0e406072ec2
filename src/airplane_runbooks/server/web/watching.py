"""Objects that requests wait for: read again once for each change, however many requests wait.

The event loop has all of the state. Changes are told on any thread; those that concern an object that is waited for
wake the loop, once for many.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from ..errors import ApiError, InternalError
from ..logs import describe
from ..notifications import Notifications
from ..storage.states import State
from .api.snapshots import Snapshot
from .threads import RequestThreads

logger = logging.getLogger(__name__)

_READERS = 4  # objects that are read again at a time; the other threads are for calls
_FIRST_DELAY, _LAST_DELAY = 0.1, 2.0  # seconds between two polls of the database

ReadStates = Callable[[Mapping[str, Sequence[str]]], Mapping[tuple[str, str], State]]


class Operation(Protocol):
    """Operation that shows one object."""

    @property
    def kind(self) -> str:
        """Kind of the object."""
        ...

    def read(self, object_id: str, /) -> Snapshot:
        """Read an object. Raises ApiError."""
        ...


Key = tuple[Operation, str]


class Waiter(Protocol):
    """A request that waits for a change of one object."""

    def offer(self, outcome: Snapshot | ApiError) -> None:
        """Take the state of the object, which may have changed, or the error in its place."""
        ...


class Watched:
    """One object that is waited for. `run_ids` and `state` are known from the first snapshot on."""

    __slots__ = ("heard", "is_dirty", "is_reading", "key", "missed", "run_ids", "state", "waiters")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.waiters: dict[Waiter, None] = {}
        self.run_ids: Collection[str] = ()
        self.state: State | None = None
        self.heard: set[str] = set()  # changes of any runs, as long as its own are not known
        self.missed = False  # True if there may have been more of them
        self.is_reading = False
        self.is_dirty = False


class Watch:
    """All objects that are waited for.

    While changes by other servers are not told, one statement reads the states of all that is waited for, again and
    again, and more rarely as long as it finds nothing new.
    """

    def __init__(self, threads: RequestThreads, notifications: Notifications, read_states: ReadStates | None) -> None:
        self._threads = threads
        self._notifications = notifications
        self._read_states = read_states
        self._must_poll = False
        self._polling: asyncio.Task[None] | None = None
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
        if not self._notifications.is_complete:
            self._poll()
        return watched

    def place(self, watched: Watched, snapshot: Snapshot) -> None:
        """Watch an object by its runs, now that they are known."""
        if watched not in self._new:
            return
        watched.state = snapshot.state
        watched.run_ids = run_ids = snapshot.run_ids
        for run_id in run_ids:
            self._by_run.setdefault(run_id, set()).add(watched)
        self._new.discard(watched)  # only now, so that no change falls between the two
        if watched.missed or not watched.heard.isdisjoint(run_ids):
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
            watched.missed |= missed
        for watched in {watched for run_id in changes for watched in self._by_run.get(run_id, ())}:
            self._look(watched)
        if missed:
            self._poll()

    def _poll(self) -> None:
        self._must_poll = True
        if self._polling is None and self._read_states is not None:
            self._polling = asyncio.get_running_loop().create_task(self._compare_states(self._read_states))

    async def _compare_states(self, read_states: ReadStates) -> None:
        """Read the states of all objects until their changes are told, and look at those that have changed."""
        delay = _FIRST_DELAY
        try:
            while self._must_poll and self._watched:
                self._must_poll = not self._notifications.is_complete
                delay = _FIRST_DELAY if await self._compare(read_states) else min(delay * 1.5, _LAST_DELAY)
                if self._must_poll:
                    await asyncio.sleep(delay)
        finally:
            self._polling = None

    async def _compare(self, read_states: ReadStates) -> bool:
        """Return whether any object has changed."""
        known = {(key[0].kind, key[1]): one for key, one in self._watched.items() if one.state is not None}
        ids: dict[str, list[str]] = {}
        for kind, object_id in known:
            ids.setdefault(kind, []).append(object_id)
        try:
            states = await self._threads.run(read_states, ids)
        except Exception as problem:  # noqa: BLE001 - the next poll may succeed
            if not isinstance(problem, ApiError):  # which the database has logged
                logger.error("changed objects cannot be found: %s", describe(problem))  # noqa: TRY400 - see describe
            self._must_poll = True
            return False
        changed = [one for key, one in known.items() if states.get(key) != one.state]
        for watched in changed:
            self._look(watched)
        return bool(changed)

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
            if isinstance(outcome, Snapshot):
                watched.state = outcome.state
            for waiter in list(watched.waiters):
                waiter.offer(outcome)
        watched.is_reading = False

    async def _outcome(self, key: Key) -> Snapshot | ApiError:
        operation, object_id = key
        try:
            return await self._threads.run(operation.read, object_id)
        except ApiError as problem:
            return problem
        except Exception as problem:  # noqa: BLE001 - the waiting callers learn of it, as those who call do
            logger.error("a changed object cannot be read: %s", describe(problem))  # noqa: TRY400 - see describe
            return InternalError("internal_error", "the server failed to answer")
