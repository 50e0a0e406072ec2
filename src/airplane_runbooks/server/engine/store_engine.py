"""The engine whose queue is the store: threads, and no state that outlasts them.

The store is the queue. All that has to outlast the process is there: what is due, and what the process had begun. So
each start finds it, and what is queued here only saves the store from being asked. Servers that share a database share
what is due in it: each takes as much as it has workers for, and the store gives each segment to one of them.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum, auto

from ..errors import Closing
from ..logs import describe
from ..storage.errors import DatabaseUnavailable
from .interface import Reservation, Work
from .membership import Membership

logger = logging.getLogger(__name__)

RETRY = 5.0  # seconds until work that raised starts again
_NO_AGES: Mapping[str, float] = {}


class _State(Enum):
    QUEUED = auto()
    WORKING = auto()
    WOKEN = auto()  # jobs to work on once more when their worker is done


class StoreEngine:
    """An engine with a bounded pool of threads, which are started as they are needed.

    The threads are daemons, so that a step that never returns cannot keep the interpreter from its exit. `close` waits
    for the others. With a `membership`, other servers use the same database; `on_backlog` is called when one of them
    could begin a job sooner. `on_taken` is called with the seconds for which a job was due when a worker took it.
    """

    def __init__(
        self,
        workers: int = 16,
        membership: Membership | None = None,
        on_backlog: Callable[[str], object] = lambda _: None,
        on_taken: Callable[[float], object] = lambda _: None,
    ) -> None:
        if workers < 1:
            raise ValueError("an engine needs at least one worker")
        self._workers = workers
        self._membership = membership
        self._on_backlog = on_backlog
        self._on_taken = on_taken
        self._look: Callable[[], object] = lambda: None
        self._more = False  # whether more was due than there were workers for
        self._luck = random.Random()  # noqa: S311 - no secret; of its own, to leave the application's seed alone
        self._work: Work
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._queue: deque[str] = deque()
        self._states: dict[str, _State] = {}
        self._due_since: dict[str, float] = {}  # of those in the queue, by the monotonic clock
        self._broken: dict[str, float] = {}  # times to start them again
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._busy = 0
        self._reserved = 0
        self._begun: dict[str, Callable[[], bool]] = {}  # first calls for queued jobs that have been begun
        self._closed = False

    def open(self, work: Work, look: Callable[[], object]) -> None:
        """Start. `look` has `recover` called soon. Raises the errors of the database."""
        if self._membership is not None:
            self._membership.join()
        self._work, self._look = work, look

    def reserve(self) -> Reservation | None:
        """Keep a worker free; None if all are busy, reserved, or about to take a job from the queue."""
        with self._lock:
            if self._closed or self._queue or self._busy + self._reserved >= self._workers:
                return None
            self._reserved += 1
            return _Reservation(self)

    def hand_over(self, job_id: str, execute: Callable[[], bool]) -> bool:
        """Have the worker of a reservation call `execute`; False if the engine has been closed."""
        with self._lock:
            self._reserved -= 1
            if self._closed:
                return False
            self._begun[job_id] = execute
            self._states[job_id] = _State.QUEUED
            self._push(job_id, first=True)
            return True

    def give_back(self) -> None:
        """Leave the worker of a reservation to other jobs."""
        with self._lock:
            self._reserved -= 1
            self._ready.notify()

    def start(self, job_id: str) -> None:
        """Work on the job of a new run. Raises Closing."""
        if not self._enqueue(job_id):
            raise Closing("closing", "the server is closing")
        self._tell_others(job_id)

    def wake(self, job_id: str) -> None:
        """Work on the job of a run that has paused, or is about to."""
        if self._enqueue(job_id):
            self._tell_others(job_id)

    def cancel(self, job_id: str) -> None:
        """Work on a job again, since the store has cancelled its run."""
        self._enqueue(job_id)

    @property
    def peers(self) -> Collection[str]:
        """IDs of the other living servers, as they were some seconds ago."""
        return () if self._membership is None else self._membership.peers

    def announced(self) -> Sequence[bytes]:
        """Return the catalogs of the other living servers. Raises the errors of the database."""
        return () if self._closed or self._membership is None else self._membership.others()

    @property
    def has_room(self) -> bool:
        """True if a worker has nothing to do."""
        return self._room > 0

    @property
    def busy(self) -> int:
        """Number of workers that have work."""
        return self._busy

    @property
    def _room(self) -> int:
        return max(0, self._workers - self._reserved - len(self._states))

    def recover(self, jobs: Sequence[str], *, more: bool = False, ages: Mapping[str, float] = _NO_AGES) -> None:
        """Work on due jobs that are unknown here, and on those that raised a while ago. Look again if there are `more`.

        That is once these have been taken. `ages` are the seconds for which they have been due.
        """
        moment = time.monotonic()
        for job_id in [job_id for job_id, at in list(self._broken.items()) if at <= moment]:
            del self._broken[job_id]
            self._enqueue(job_id)
        unknown = [job_id for job_id in jobs if job_id not in self._states and job_id not in self._broken]
        if self._membership is not None:
            room = self._room
            more = more or len(unknown) > room
            unknown = self._luck.sample(unknown, min(room, len(unknown)))  # or all servers would take the same ones
        self._more = more
        for job_id in unknown:
            self._enqueue(job_id, ages.get(job_id, 0.0))

    def close(self, timeout: float) -> None:
        """Take no more work and wait, at most `timeout` seconds, for running work."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._due_since.clear()
            self._ready.notify_all()
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if busy := sum(thread.is_alive() for thread in threads):
            logger.warning("%d steps are still running %.1f seconds after the engine was closed", busy, timeout)
        if self._membership is not None:
            self._membership.leave()

    def _tell_others(self, job_id: str) -> None:
        if self._membership is not None and len(self._states) + self._reserved > self._workers:
            self._on_backlog(job_id)

    def _enqueue(self, job_id: str, age: float = 0.0) -> bool:
        with self._lock:
            if self._closed:
                return False
            state = self._states.get(job_id)
            if state is None:
                self._due_since[job_id] = time.monotonic() - age
                self._states[job_id] = _State.QUEUED
                self._push(job_id)
            elif state is _State.WORKING:
                self._states[job_id] = _State.WOKEN
            return True

    def _push(self, job_id: str, *, first: bool = False) -> None:
        self._due_since.setdefault(job_id, time.monotonic())
        (self._queue.appendleft if first else self._queue.append)(job_id)
        if len(self._queue) > self._idle and len(self._threads) < self._workers:
            thread = threading.Thread(target=self._loop, name=f"runbook-worker-{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError as problem:  # out of threads: the next job tries again
                logger.error("a worker cannot be started: %s", describe(problem))  # noqa: TRY400 - see describe
            else:
                self._threads.append(thread)
        self._ready.notify()

    def _loop(self) -> None:
        while (job_id := self._take()) is not None:
            try:
                self._perform(job_id)
            except Closing:
                return
            except BaseException as problem:  # noqa: BLE001 - one bad session must not cost the pool a thread
                known = isinstance(problem, DatabaseUnavailable)  # the log has what is the matter with the database
                logger.log(
                    logging.DEBUG if known else logging.ERROR, "work on %s failed: %s", job_id, describe(problem)
                )
                self._broken[job_id] = time.monotonic() + RETRY
            self._put_back(job_id)

    def _perform(self, job_id: str) -> None:
        execute = self._begun.pop(job_id, None)
        again = self._work(job_id) if execute is None else execute()
        while again and not self._closed:
            again = self._work(job_id)

    def _take(self) -> str | None:
        with self._lock:
            self._idle += 1
            if self._more and not self._queue:
                self._more = False
                self._look()
            while not self._may_take() and not self._closed:
                self._ready.wait()
            self._idle -= 1
            if self._closed:
                return None
            self._busy += 1
            job_id = self._queue.popleft()
            self._states[job_id] = _State.WORKING
            since = self._due_since.pop(job_id)
        self._on_taken(max(0.0, time.monotonic() - since))
        return job_id

    def _may_take(self) -> bool:
        """Tell whether the first job of the queue may have a worker that is not reserved, or was reserved for it."""
        if not self._queue:
            return False
        return self._queue[0] in self._begun or self._busy + self._reserved < self._workers

    def _put_back(self, job_id: str) -> None:
        with self._lock:
            self._busy -= 1
            woken = self._states.pop(job_id) is _State.WOKEN
            if woken and not self._closed:
                self._states[job_id] = _State.QUEUED
                self._push(job_id)


class _Reservation:
    """A worker of an engine that is kept free. It is handed over or given back, once."""

    def __init__(self, engine: StoreEngine) -> None:
        self.hand_over = engine.hand_over
        self.give_back = engine.give_back
