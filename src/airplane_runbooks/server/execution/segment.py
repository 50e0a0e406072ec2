"""Execution of one segment of a runbook, or of one task, on the thread of its execution."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from ...models import RunStatus
from ...schema.problems import NotEncodable
from ..authoring.contexts import Context
from ..authoring.decorators import Registry, Runbook, Task
from ..authoring.errors import PromptCancelled
from ..errors import Invalid
from ..logs import describe_authors, trace
from ..observers.emitter import Emitter
from ..secrets.masking import Secrets
from ..secrets.vault import Vault
from ..storage.encoding import decode
from ..storage.holds import mismatch_mark
from ..storage.interface import Store
from ..storage.records import Outcome, Run, RunKind
from .async_functions import run_async_runbook, run_async_task
from .event_loop import run_blocking
from .execution import Execution
from .guard import guarded_store, retry_until_available
from .replay import Replay
from .signals import ReplayMismatch, ServerFailure, ServerStopping, SessionCancelled, Signal
from .step_logs import attempt_logged
from .sync_runtime import SyncRuntime

T = TypeVar("T")

logger = logging.getLogger(__name__)


class SegmentExecutor:
    """Executes segments of runbooks, and tasks, and records how they end.

    `leave_or_hold` leaves a run to servers that have its code. `on_progress` is called with the ID of a root run
    whenever a step has ended or a prompt has been opened.
    """

    def __init__(
        self,
        store: Store,
        runbooks: Registry[Runbook[..., Any]],
        tasks: Registry[Task[..., Any]],
        emitter: Emitter,
        *,
        vault: Vault,
        stopping: threading.Event,
        leave_or_hold: Callable[[Store, Run], None],
        on_progress: Callable[[str], None],
    ) -> None:
        self._unguarded = store
        self._store = guarded_store(store)
        self._runbooks = runbooks
        self._tasks = tasks
        self._emitter = emitter
        self._vault = vault
        self._stopping = stopping
        self._leave_or_hold = leave_or_hold
        self._on_progress = on_progress

    def execute(self, execution: Execution) -> bool:
        """Execute until the end or the next prompt; return True if the prompt has been answered meanwhile."""
        execution.make_current()
        run = execution.run
        item = (self._tasks if run.kind is RunKind.TASK else self._runbooks).by_id.get(run.task_id)
        if item is None:
            self._leave_or_hold(self._store, run)
            return False
        values = decode(run.param_values if run.sealed_values is None else self._vault.open(run.sealed_values))
        replay = self._replay(execution, values)
        if isinstance(item, Task):
            self.finish(execution, self._execute_task(replay, item, values))
            return False
        return self._execute_runbook(replay, item, values)

    def finish(self, execution: Execution, outcome: Outcome) -> None:
        """Record the end of a session or task."""
        if self._end(execution, outcome):
            self._emitter.ended(execution.run, outcome)

    def _end(self, execution: Execution, outcome: Outcome) -> bool:
        run = execution.run
        return self._write_last(execution, lambda store: store.finish(run.id, outcome, run.fencing_token))

    def _write_last(self, execution: Execution, last: Callable[[Store], T]) -> T:
        """Write how a segment ends, with what is waiting, and try for long: otherwise it would be executed again."""
        execution.logs.queue()

        async def wait(seconds: float) -> bool:
            return self._stopping.wait(seconds)

        return run_blocking(retry_until_available(partial(execution.writes.flush_with, last), wait))

    def _replay(self, execution: Execution, values: dict[str, Any]) -> Replay:
        replay = Replay(
            execution,
            store=self._unguarded,
            stopping=self._stopping,
            emitter=self._emitter,
            vault=self._vault,
            secrets=Secrets.of(execution.run.params, values),
            on_progress=partial(self._on_progress, execution.run.id),
        )
        execution.on_interrupt(replay.interrupt)
        return replay

    def _execute_task(self, replay: Replay, task: Task[..., Any], values: dict[str, Any]) -> Outcome:
        log = replay.open_log(replay.root)

        def call() -> Any:
            with self._emitter.attempt(replay.root, replay.root, 1), attempt_logged(log, 1):
                result = task.function(**task.arguments(values, replay.open_upload))
                return run_async_task(replay, result) if inspect.isawaitable(result) else result

        return _outcome(replay, call)

    def _execute_runbook(self, replay: Replay, runbook: Runbook[..., Any], values: dict[str, Any]) -> bool:
        run, execution = replay.root, replay.execution
        if not replay.history.is_empty and not runbook.code.can_continue(run.source):
            self._leave_or_hold(self._store, run)
            return False
        outcome = _outcome(replay, lambda: self._call_runbook(replay, runbook, values))
        succeeded = outcome.status is RunStatus.SUCCEEDED
        match replay.signal:
            case ServerFailure() as failure:
                raise failure
            case ServerStopping():
                self._write_last(execution, lambda store: store.release(run.id, run.fencing_token, execution.spent))
                return False
            case SessionCancelled():
                self._end(execution, Outcome.cancelled())  # the event of it is that of the user's call
                return False
            case ReplayMismatch() as mismatch:
                self._end_mismatch(replay, runbook, mismatch)
                return False
            case _ if replay.is_awaiting_prompt and (replay.branches.main.signal or replay.is_idle or succeeded):
                return self._write_last(
                    execution, lambda store: store.pause(run.id, run.fencing_token, execution.spent)
                )
            case _ if succeeded and (unreached := replay.history.first_unreached) is not None:
                self._end_mismatch(replay, runbook, replay.not_repeated(f"it ended before {unreached!r}"))
                return False
            case _:
                pass
        self.finish(execution, outcome)
        return False

    def _end_mismatch(self, replay: Replay, runbook: Runbook[..., Any], mismatch: Signal) -> None:
        """Fail a session whose own code did not repeat the record; hold one whose code has changed."""
        run, failure = replay.root, replay.values.failure(mismatch)
        if runbook.code.is_same_as(run.source):
            self.finish(replay.execution, Outcome.failed(failure))
        else:
            mark = mismatch_mark(runbook.code.digest, failure.message)
            self._write_last(replay.execution, lambda store: store.hold(run.id, run.fencing_token, mark))
            self._emitter.held(run)
            logger.warning("%s %s (%s) is held: it did not repeat its record", run.kind.value, run.slug, run.id)

    def _call_runbook(self, replay: Replay, runbook: Runbook[..., Any], values: dict[str, Any]) -> Any:
        try:
            arguments = runbook.arguments(values, replay.open_upload)
        except Invalid as problem:
            if replay.history.is_empty:
                raise
            raise replay.mismatch(f"its parameters do not take the recorded values any more: {problem}") from None
        if runbook.is_async:
            return run_async_runbook(replay, self._stopping, partial(runbook.function, **arguments))
        replay.branches.start(threading.get_ident())
        return runbook.function(Context(SyncRuntime(replay, self._stopping)), **arguments)


def _outcome(replay: Replay, call: Callable[[], Any]) -> Outcome:
    """Call a function and return its outcome; a signal that it raises comes out as a failure."""
    try:
        return replay.values.succeeded(call())
    except ServerFailure:
        raise
    except PromptCancelled as problem:
        return Outcome.cancelled(replay.values.failure(problem))
    except (NotEncodable, Invalid, Signal, asyncio.CancelledError) as problem:
        return Outcome.failed(replay.values.failure(problem))
    except BaseException as problem:  # noqa: BLE001 - SystemExit in a runbook ends the session, not the server
        run = replay.root
        with suppress(Exception):  # an application may have log filters that raise
            said = "\n  ".join([describe_authors(problem), *trace(problem).splitlines()])
            logger.warning("%s %s (%s) failed: %s", run.kind.value, run.slug, run.id, said)
        return Outcome.failed(replay.values.reason(problem))
