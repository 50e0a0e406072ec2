"""The engine of a database that has one server: threads, and no state that outlasts them.

The store is the queue. All that has to outlast the process is there: what is due, and what the process had begun. So
each start finds it, and what is queued here only saves the store from being asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

from ..errors import Closing
from ..logs import describe
from .interface import Reservation, Work

logger = logging.getLogger(__name__)

RETRY = 5.0  # seconds until work that raised starts again


class _State(Enum):
    QUEUED = auto()
    WORKING = auto()
    WOKEN = auto()  # jobs to work on once more when their worker is done


class LocalEngine:
    """An engine with a bounded pool of threads, which are started as they are needed.

    The threads are daemons, so that a step that never returns cannot keep the interpreter from its exit. `close` waits
    for the others.
    """

    def __init__(self, workers: int = 16) -> None:
        if workers < 1:
            raise ValueError("an engine needs at least one worker")
        self._workers = workers
        self._work: Work | None = None
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._queue: deque[str] = deque()
        self._states: dict[str, _State] = {}
        self._broken: dict[str, float] = {}  # times to start them again
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._busy = 0
        self._reserved = 0
        self._begun: dict[str, Callable[[], bool]] = {}  # first calls for queued jobs that have been begun
        self._closed = False

    def open(self, work: Work) -> None:
        """Start, with the callable that works on one job."""
        self._work = work

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

    def wake(self, job_id: str) -> None:
        """Work on the job of a run that has paused, or is about to."""
        self._enqueue(job_id)

    def cancel(self, job_id: str) -> None:
        """Work on a job again, since the store has cancelled its run."""
        self._enqueue(job_id)

    def forget(self, job_id: str) -> None:
        """Do nothing: a job at rest has no state here."""

    def announced(self) -> Sequence[bytes]:
        """Return nothing, since there are no other servers."""
        return ()

    def recover(self, jobs: Sequence[str], here: Sequence[str] = ()) -> None:
        """Work on due jobs that are unknown here, and on those that raised a while ago."""
        moment = time.monotonic()
        for job_id in [*jobs, *here, *(job_id for job_id, at in list(self._broken.items()) if at <= moment)]:
            self._broken.pop(job_id, None)
            if job_id not in self._states:
                self._enqueue(job_id)

    def close(self, timeout: float) -> None:
        """Take no more work and wait, at most `timeout` seconds, for running work."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._ready.notify_all()
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if busy := sum(thread.is_alive() for thread in threads):
            logger.warning("%d steps are still running %.1f seconds after the engine was closed", busy, timeout)

    def _enqueue(self, job_id: str) -> bool:
        with self._lock:
            if self._closed:
                return False
            state = self._states.get(job_id)
            if state is None:
                self._states[job_id] = _State.QUEUED
                self._push(job_id)
            elif state is _State.WORKING:
                self._states[job_id] = _State.WOKEN
            return True

    def _push(self, job_id: str, *, first: bool = False) -> None:
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
            again = False
            try:
                again = self._perform(job_id)
            except Closing:
                return
            except BaseException as problem:  # noqa: BLE001 - one bad session must not cost the pool a thread
                logger.error("work on %s failed: %s", job_id, describe(problem))  # noqa: TRY400 - see describe
                self._broken[job_id] = time.monotonic() + RETRY
            self._put_back(job_id, again=again)

    def _perform(self, job_id: str) -> bool:
        execute = self._begun.pop(job_id, None)
        if execute is not None:
            return execute()
        return self._work is not None and self._work(job_id, owner_is_gone=True)

    def _take(self) -> str | None:
        with self._lock:
            self._idle += 1
            while not self._may_take() and not self._closed:
                self._ready.wait()
            self._idle -= 1
            if self._closed:
                return None
            self._busy += 1
            job_id = self._queue.popleft()
            self._states[job_id] = _State.WORKING
            return job_id

    def _may_take(self) -> bool:
        """Tell whether the first job of the queue may have a worker that is not reserved, or was reserved for it."""
        if not self._queue:
            return False
        return self._queue[0] in self._begun or self._busy + self._reserved < self._workers

    def _put_back(self, job_id: str, *, again: bool) -> None:
        with self._lock:
            self._busy -= 1
            woken = self._states.pop(job_id) is _State.WOKEN
            if (again or woken) and not self._closed:
                self._states[job_id] = _State.QUEUED
                self._push(job_id)


class _Reservation:
    """A worker of an engine that is kept free. It is handed over or given back, once."""

    def __init__(self, engine: LocalEngine) -> None:
        self.hand_over = engine.hand_over
        self.give_back = engine.give_back
