"""Executions as seen from outside: what was cancelled, or has had its time, is interrupted and then given up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar

from ..logs import describe
from ..storage.interface import Store
from ..storage.records import Run
from .threads import Ended, Workers, begin
from .timeouts import is_over

logger = logging.getLogger(__name__)

POLL = 1.0  # seconds between two looks at what other servers may have cancelled
PATIENCE = 3.0  # seconds for what has been interrupted to come to its end

_CURRENT: ContextVar[Execution | None] = ContextVar("execution", default=None)


class Execution:
    """One execution of a root run, from its begin to its pause or end.

    Attributes:
        run: The root run.
        over: Set once it has ended or been given up.
    """

    def __init__(self, run: Run, workers: Workers) -> None:
        self.run = run
        self._workers = workers
        self._begun = time.monotonic()
        left = None if run.timeout is None else run.timeout - run.spent / 1_000_000
        self._end = None if left is None else self._begun + left
        self._limits: dict[object, float] = {}
        self._interrupted: float | None = None
        self._hooks: list[Callable[[], None]] = []
        self._threads: list[Future[Ended]] = []
        self._lock = threading.Lock()
        self.over = threading.Event()

    @property
    def deadline(self) -> float | None:
        """When its time is up, by the monotonic clock."""
        moments = [self._end, *self._limits.values()]
        return min((one for one in moments if one is not None), default=None)

    @property
    def lateness(self) -> str:
        """The part whose time is up."""
        if self._end is not None and time.monotonic() >= self._end:
            return f"it was executed for more than {self.run.timeout:g} seconds"
        return "a step did not return in time, and keeps its event loop from everything else"

    @property
    def spent(self) -> int | None:
        """Microseconds spent by now; None if they are not counted."""
        if self.run.timeout is None:
            return None
        return self.run.spent + round((time.monotonic() - self._begun) * 1_000_000)

    @property
    def is_interrupted(self) -> bool:
        """Whether it is to end soon: it was cancelled, its time is up, or others have begun it again."""
        return self._interrupted is not None

    @property
    def is_out_of_patience(self) -> bool:
        """Whether it has been interrupted for so long that nobody waits for its end any more."""
        return self._interrupted is not None and time.monotonic() >= self._interrupted + PATIENCE

    @property
    def left(self) -> list[Future[Ended]]:
        """The threads of this execution that have not returned."""
        return [thread for thread in self._threads if not thread.done()]

    def enter(self) -> None:
        """Let `cancelled` know of it, in this context and in those that are copied from it."""
        _CURRENT.set(self)

    def begin(self, function: Callable[[], object], name: str) -> Future[Ended]:
        """Call a function on a thread that belongs to this execution. Raises OSError."""
        thread = begin(function, name)
        with self._lock:
            self._threads = [*self.left, thread]
        return thread

    def give_up(self, thread: Future[Ended]) -> None:
        """Go on without a thread that has had its time."""
        self._workers.give_up([thread])

    @contextmanager
    def bounded(self, seconds: float) -> Generator[None]:
        """Give what is done inside so many seconds, or else the execution has had its time."""
        key = object()
        self._limits[key] = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._limits[key]

    def when_interrupted(self, hook: Callable[[], None]) -> None:
        """Call a function, on whichever thread, once the execution is to end."""
        with self._lock:
            self._hooks.append(hook)
            now = self.is_interrupted
        if now:
            hook()

    def interrupt(self) -> None:
        """Ask the execution to end soon. Idempotent."""
        with self._lock:
            if self.is_interrupted:
                return
            self._interrupted = time.monotonic()
            hooks = list(self._hooks)
        for hook in hooks:
            hook()


def cancelled() -> bool:
    """Whether the step or task that asks, on its own thread or in its own task, is to end soon.

    It is if somebody has cancelled its session or run, and if the time of either is up. Nothing that it returns from
    then on is kept. For functions that go on for long; coroutine functions are cancelled besides.
    """
    execution = _CURRENT.get()
    return (execution is not None and execution.is_interrupted) or is_over()


class Executions:
    """All executions of one server. A thread of its own looks after them as long as there are any.

    `time_out` ends the run of one whose time is up.
    """

    def __init__(self, store: Store, time_out: Callable[[Execution], None]) -> None:
        self._store = store
        self._time_out = time_out
        self._all: dict[str, Execution] = {}
        self._changed = threading.Condition()
        self._watching = False
        self._failing = False
        self._closed = False
        self._next_poll = 0.0

    @contextmanager
    def watched(self, execution: Execution) -> Generator[None]:
        """Look after an execution. Raises OSError if there is no thread to do so."""
        with self._changed:
            if not self._watching:
                begin(self._watch, "runbook-executions")
                self._watching = True
                self._next_poll = time.monotonic() + POLL
            elif execution.deadline is not None:
                self._changed.notify()
            self._all[execution.run.id] = execution
        try:
            yield
        finally:
            with self._changed:
                if self._all.get(execution.run.id) is execution:  # no other server's, or a later one
                    del self._all[execution.run.id]

    def interrupt(self, run_id: str) -> None:
        """Tell an execution of this server, if there is one, that its run has been cancelled."""
        execution = self._all.get(run_id)
        if execution is not None:
            execution.interrupt()
            with self._changed:
                self._changed.notify()

    def close(self) -> None:
        """Look no more, and leave what still goes on to itself."""
        with self._changed:
            self._closed = True
            for execution in self._all.values():
                execution.over.set()
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if not self._closed and self._all:
                    self._changed.wait(POLL if self._failing else self._delay())
                if self._closed or not self._all:
                    self._watching = False
                    return
                present = list(self._all.values())
            try:
                self._look(present)
                self._failing = False
            except BaseException as problem:  # noqa: BLE001 - nothing may keep it from looking again
                if not self._failing:
                    logger.error("cannot look after what is executed: %s", describe(problem))  # noqa: TRY400 - see describe
                self._failing = True

    def _delay(self) -> float:
        deadlines = (one.deadline for one in self._all.values() if not one.is_interrupted)
        first = min((self._next_poll, *(one for one in deadlines if one is not None)))
        return max(0.01, first - time.monotonic())

    def _look(self, executions: list[Execution]) -> None:
        if (moment := time.monotonic()) >= self._next_poll:
            self._next_poll = moment + POLL
            fencing_tokens = {one.run.id: one.run.fencing_token for one in executions if not one.is_interrupted}
            gone = self._store.gone(fencing_tokens) if fencing_tokens else ()
            for one in executions:
                if one.run.id in gone:
                    one.interrupt()
        for one in executions:
            if one.deadline is not None and moment >= one.deadline and not one.is_interrupted:
                self._time_out(one)
                one.interrupt()
            if one.is_out_of_patience and not one.over.is_set():
                self._store.release(one.run.id, one.run.fencing_token)  # a session that is Cancelling becomes Cancelled
                one.over.set()
