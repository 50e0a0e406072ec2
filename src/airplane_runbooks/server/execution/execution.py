"""One execution of a root run as seen from outside: its threads, its deadline and its interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from operator import itemgetter

from ..storage.records import Failure, Run
from .call_results import CallResult
from .step_logs import StepLogs
from .threads import Workers, start_thread
from .timeouts import has_timed_out
from .writes import DeferredWrites

PATIENCE = 3.0  # seconds for an interrupted execution to end

_CURRENT: ContextVar[Execution | None] = ContextVar("execution", default=None)


class Execution:
    """One execution of a root run, from its begin to its pause or end.

    Attributes:
        run: The root run.
        writes: What it has not written yet.
        logs: The logs of its steps.
        is_new: True if nothing of the root run can have been executed before.
        done: Set once the execution has ended or been abandoned.
    """

    def __init__(
        self, run: Run, workers: Workers, writes: DeferredWrites, *, is_new: bool = False, captures: bool = False
    ) -> None:
        self.run = run
        self.is_new = is_new
        self.writes = writes
        self.logs = StepLogs(run.fencing_token, writes, captures=captures)
        self._workers = workers
        self._begun = time.monotonic()
        left = None if run.timeout is None else run.timeout - run.spent / 1_000_000
        self._end = None if left is None else self._begun + left
        self._limits: dict[str, tuple[float, Run]] = {}  # by the IDs of steps
        self._interrupted: float | None = None
        self._hooks: list[Callable[[], None]] = []
        self._threads: list[Future[CallResult]] = []
        self._lock = threading.Lock()
        self.done = threading.Event()

    @property
    def age(self) -> float:
        """Seconds since its begin."""
        return time.monotonic() - self._begun

    @property
    def deadline(self) -> float | None:
        """End of its time, by the monotonic clock; None if it has no timeout."""
        moments = [self._end, *(end for end, _ in list(self._limits.values()))]  # a copy: the loop's thread changes it
        return min((one for one in moments if one is not None), default=None)

    @property
    def timeout_failure(self) -> Failure:
        """The reason, once its time is up: it is that of a step if a step has taken up its own."""
        if self._end is not None and time.monotonic() >= self._end:
            return Failure("Timeout", f"it ran for more than {self.run.timeout:g} seconds")
        late = "did not return within its timeout and blocks its event loop"
        first = min(list(self._limits.values()), key=itemgetter(0), default=None)
        if first is None:  # it has returned meanwhile
            return Failure("Timeout", f"a step {late}")
        return Failure("Timeout", f"it {late}", first[1].name, first[1].id)

    @property
    def spent(self) -> int | None:
        """Microseconds of execution so far; None if they are not counted."""
        if self.run.timeout is None:
            return None
        return self.run.spent + round((time.monotonic() - self._begun) * 1_000_000)

    @property
    def is_interrupted(self) -> bool:
        """True once it is to end soon: it was cancelled, its time is up, or another server has begun it again."""
        return self._interrupted is not None

    @property
    def is_overdue(self) -> bool:
        """True if it has not ended although it was interrupted a while ago."""
        return self._interrupted is not None and time.monotonic() >= self._interrupted + PATIENCE

    @property
    def running_threads(self) -> list[Future[CallResult]]:
        """Its threads that have not returned."""
        return [thread for thread in self._threads if not thread.done()]

    def make_current(self) -> None:
        """Make it the execution that `cancelled` reads, in this context and in those copied from it."""
        _CURRENT.set(self)

    def start_thread(self, function: Callable[[], object], name: str) -> Future[CallResult]:
        """Call a function on a thread that belongs to this execution. Raises OSError."""
        thread = start_thread(function, name)
        with self._lock:
            self._threads = [*self.running_threads, thread]
        return thread

    def abandon(self, thread: Future[CallResult]) -> None:
        """Go on without a thread whose time is up."""
        self._workers.abandon([thread])

    @contextmanager
    def limited_to(self, step: Run, seconds: float) -> Generator[None]:
        """Bound an attempt of a step inside: the execution times out if it takes longer."""
        self._limits[step.id] = time.monotonic() + seconds, step
        try:
            yield
        finally:
            del self._limits[step.id]

    def release(self) -> None:
        """Leave the root run to others, with all that this execution has done. Raises ServerFailure."""
        self.logs.queue()
        self.writes.flush_with(lambda store: store.release(self.run.id, self.run.fencing_token))

    def on_interrupt(self, hook: Callable[[], None]) -> None:
        """Call a function, on any thread, once the execution is interrupted."""
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
    """Tell whether the step or task that calls this, on its own thread or in its own task, is to end soon.

    It is once its session or run was cancelled, and once the time of either is up. Values returned after that are not
    kept. For functions that run for long; coroutine functions are cancelled as well.
    """
    execution = _CURRENT.get()
    return (execution is not None and execution.is_interrupted) or has_timed_out()
