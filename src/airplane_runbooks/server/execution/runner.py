"""Runner: executes the jobs of an engine, each of them a task or one segment of a runbook up to its next prompt."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from ..authoring.decorators import Registry, Runbook, Task
from ..observers.emitter import Emitter
from ..secrets.vault import KeyMissing, Vault
from ..storage.interface import Store
from ..storage.records import Failure, Outcome, Run, RunKind, Suspect
from .admission import Admission
from .execution import Execution
from .flusher import Flusher
from .guard import as_server_failure, guarded_store
from .segment import SegmentExecutor
from .signals import ServerFailure
from .threads import Workers
from .watchdog import Watchdog
from .writes import DeferredWrites, is_fresh

logger = logging.getLogger(__name__)

MOST_FAILED_STARTS = 10  # in a row at one place, and alone, before a session is given up
_MOST_LOCKED = 10_000


class Runner:
    """Executes runbooks and tasks on the threads of this server; `captures` says if what they write is kept."""

    def __init__(
        self,
        store: Store,
        runbooks: Registry[Runbook[..., Any]],
        tasks: Registry[Task[..., Any]],
        emitter: Emitter,
        *,
        vault: Vault,
        workers: int,
        captures: bool,
        leave_or_hold: Callable[[Store, Run], None],
    ) -> None:
        self._unguarded = store
        self._store = guarded_store(store)
        self._emitter = emitter
        self._captures = captures
        self._stopping = threading.Event()
        self._admission = Admission()
        self._in_progress: dict[str, Execution] = {}
        self._flusher = Flusher()
        self._workers = Workers(workers)
        self._watchdog = Watchdog(self._store, self._time_out)
        self._over: dict[str, int] = {}  # fencing tokens of executions that are over, and have kept their leases
        self._locked: dict[str, None] = {}  # root runs whose key is missing, as the log has said
        self._unreleased: dict[str, Execution] = {}  # by root run; they could not be released as yet
        self._segments = SegmentExecutor(
            store,
            runbooks,
            tasks,
            emitter,
            vault=vault,
            stopping=self._stopping,
            leave_or_hold=leave_or_hold,
            on_progress=self._admission.end_probation,
        )

    def stop(self) -> None:
        """Let every execution end at its next step, and begin no other."""
        self._stopping.set()
        self._admission.close()
        self._workers.close()

    def excuse(self) -> None:
        """Record that this process is about to end, so that it does not count as a failed start of its executions.

        Raises DatabaseUnavailable.
        """
        if runs := [execution.run for execution in list(self._in_progress.values())]:
            self._unguarded.excuse(runs)

    def give_back(self) -> None:
        """Leave executions in progress to other servers, or to the next start. Raises DatabaseUnavailable."""
        try:
            for execution in list(self._in_progress.values()):
                execution.release()
        except ServerFailure as failure:
            raise failure.__cause__ or failure from None

    def close(self) -> None:
        """Stop watching executions in progress."""
        self._watchdog.close()
        self._flusher.close()

    def interrupt(self, run_ids: Collection[str]) -> None:
        """Let the executions of cancelled root runs end soon, where this server has them."""
        for run_id in run_ids:
            self._watchdog.interrupt(run_id)

    @property
    def has_workers(self) -> bool:
        """True unless all workers are blocked by threads that never return."""
        return not self._workers.are_all_blocked

    def admit_at_once(self, run_id: str) -> bool:
        """Admit a root run whose segment is about to be begun by someone else, for `execute`; False if it must wait."""
        return run_id not in self._unreleased and self._admission.admit_at_once(run_id)

    def dismiss(self, run_id: str) -> None:
        """Take an admission back."""
        self._admission.end_probation(run_id)

    def leave(self, run: Run) -> None:
        """Leave a segment that has been begun, but cannot be executed here any more, to others."""
        self.dismiss(run.id)
        self._unguarded.release(run.id, run.fencing_token)

    def execute(self, run: Run, *, added_at: float = -math.inf) -> bool:
        """Execute a segment that has been admitted and begun, as `work` does.

        `added_at` is a time of the monotonic clock before which the run was not there, if it was begun as it was added.
        """
        return self._work_on(run.id, lambda: run, is_new=is_fresh(added_at))

    def work(self, run_id: str, segment: int) -> bool:
        """Execute until the end or the next prompt; return True if the prompt has been answered meanwhile.

        Raises the exception behind a failure of the server, to be called again after a while.
        """

        def begin() -> Run | None:
            if run_id in self._unreleased:
                self._release(self._unreleased[run_id])
                return None
            return self._begin(run_id, segment)

        return self._work_on(run_id, begin)

    def _work_on(self, run_id: str, begin: Callable[[], Run | None], *, is_new: bool = False) -> bool:
        execution: Execution | None = None
        try:
            run = begin()
            if run is None:
                return False
            writes = DeferredWrites(self._store, self._flusher)
            execution = Execution(run, self._workers, writes, is_new=is_new, captures=self._captures)
            self._in_progress[run_id] = execution
            with self._emitter.segment(run):
                return self._execute_until_over(execution)
        except ServerFailure as failure:
            raise failure.__cause__ or failure from None
        finally:
            # an engine may hand in the job of an earlier segment, while a later one is in progress
            if self._in_progress.get(run_id) is execution:
                self._in_progress.pop(run_id, None)
                self._admission.end_probation(run_id)

    def _begin(self, run_id: str, segment: int) -> Run | None:
        """Begin a segment once it is admitted; None if it is not due any more."""
        over = self._over.pop(run_id, None)
        self._admit(run_id, suspect=False)
        run = self._store.begin(run_id, segment, alone=False, over=over)
        if isinstance(run, Suspect):
            self._admission.end_probation(run_id)
            self._admit(run_id, suspect=True)
            run = self._store.begin(run_id, segment, over=over)
            if isinstance(run, Run):
                self._admission.started(run)
                self._tell_of_death(run)
        return run if isinstance(run, Run) else None

    def _tell_of_death(self, run: Run) -> None:
        """Log that a root run starts again after the death of a server, and in which steps it was."""
        if not 1 < run.failed_starts <= MOST_FAILED_STARTS:
            return
        steps: list[str] = []
        with suppress(ServerFailure):
            children = self._store.outline(run.id)
            steps = [repr(one.name) for one in children if one.kind is RunKind.STEP and not one.status.is_terminal]
        logger.warning(
            "%s of %s was interrupted by the death of a server, and starts again (%d of %d)%s",
            f"run {run.id}" if run.session_id is None else f"session {run.session_id}",
            run.slug,
            run.failed_starts,
            MOST_FAILED_STARTS,
            f", in step {', '.join(steps)}" if steps else "",
        )

    def _admit(self, run_id: str, *, suspect: bool) -> None:
        if cleared := self._admission.admit(run_id, suspect=suspect):
            self._store.excuse(cleared)

    def _execute_until_over(self, execution: Execution) -> bool:
        """Execute, and remember the lease that is kept if it must be begun again."""
        run, again = execution.run, True
        try:
            again = self._execute(execution)
        finally:
            if again:
                self._over[run.id] = run.fencing_token
        return again

    def _execute(self, execution: Execution) -> bool:
        run = execution.run
        if run.failed_starts > MOST_FAILED_STARTS:
            text = f"its server died {run.failed_starts - 1} times while it was executed, each time at the same place"
            self._segments.finish(execution, Outcome.failed(Failure("CrashLoop", text)))
            return False
        try:
            with as_server_failure():
                return self._execute_watched(execution)
        except ServerFailure as failure:
            if not failure.is_temporary:  # to begin again counts as a failed start, for it may repeat for ever
                with suppress(ServerFailure):
                    execution.writes.flush()
                raise
            if not isinstance(failure.__cause__, KeyMissing):
                logger.warning("%s %s (%s) will be tried again: %s", run.kind.value, run.slug, run.id, failure)
            elif self._tell_locked(run.id):
                logger.error("%s %s (%s) cannot be executed here: %s", run.kind.value, run.slug, run.id, failure)  # noqa: TRY400 - says it all
            self._release(execution)
            return False

    def _execute_watched(self, execution: Execution) -> bool:
        """Execute on a thread, and go on without threads that have had their time and never return."""
        context = contextvars.Context()  # an empty one, so that executions do not see each other's variables
        with self._watchdog.watching(execution):
            main = execution.start_thread(lambda: context.run(self._segments.execute, execution), "runbook-execution")
            main.add_done_callback(lambda _: execution.done.set())
            execution.done.wait()
        if left := execution.running_threads:
            self._admission.end_probation(execution.run.id)
            self._workers.abandon(left)
            self._workers.wait_for_capacity(without=left)
        return bool(main.done() and main.result().unwrap())

    def _tell_locked(self, run_id: str) -> bool:
        """Tell whether the log is to say that the key of a root run is missing here: once, though it is tried again."""
        is_news = run_id not in self._locked
        if is_news:
            self._locked[run_id] = None
            while len(self._locked) > _MOST_LOCKED:
                self._locked.pop(next(iter(self._locked)), None)
        return is_news

    def _time_out(self, execution: Execution) -> None:
        run, outcome = execution.run, Outcome.failed(execution.timeout_failure)
        execution.logs.queue()
        if execution.writes.flush_with(lambda store: store.finish(run.id, outcome, run.fencing_token)):
            self._emitter.ended(run, outcome)

    def _release(self, execution: Execution) -> None:
        """Leave a root run to other servers. If that fails, it is tried again before anything else is done with it."""
        run_id = execution.run.id
        self._unreleased[run_id] = execution
        execution.release()
        del self._unreleased[run_id]
