"""Executes what an engine hands it: one run of a task, or one segment of a runbook up to its next prompt."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ...models import RunStatus
from ...schema.problems import NotEncodable
from ..authoring.contexts import AsyncContext, Context
from ..authoring.decorators import Registry, Runbook, Task
from ..authoring.errors import PromptCancelled
from ..errors import Invalid
from ..logs import describe
from ..observers.emitter import Emitter
from ..secrets.masking import Secrets
from ..secrets.vault import Vault, VaultError
from ..storage.encoding import decode
from ..storage.holds import other_way
from ..storage.interface import Store
from ..storage.records import (
    Failure,
    Outcome,
    Run,
    RunKind,
    Suspect,
)
from . import loops
from .async_runtime import AsyncioRuntime
from .executions import Execution, Executions, cancelled
from .guard import apart, guarded, insist
from .loops import cancel, ended, run_blocking
from .replay import Journal
from .signals import (
    EngineTrouble,
    Halt,
    Interrupted,
    ReplayMismatch,
    Stopped,
)
from .suspicion import Trials
from .sync_runtime import SyncRuntime
from .threads import Ended, Workers

logger = logging.getLogger(__name__)

MOST_FAILED_STARTS = 10  # in a row at one place, and alone, before a session is given up


class Runner:
    """Executes runbooks and tasks and writes down in the store how they end."""

    def __init__(
        self,
        store: Store,
        runbooks: Registry[Runbook[..., Any]],
        tasks: Registry[Task[..., Any]],
        emitter: Emitter,
        *,
        vault: Vault,
        workers: int,
        put_back: Callable[[Store, Run], None],
    ) -> None:
        self._unguarded = store
        self._store = guarded(store)
        self._put_back = put_back
        self._emitter = emitter
        self._vault = vault
        self._runbooks = runbooks
        self._tasks = tasks
        self._stopping = threading.Event()
        self._trials = Trials()
        self._in_hand: dict[str, Run] = {}
        self._workers = Workers(workers)
        self._executions = Executions(self._store, self._time_out)
        self._kept: dict[str, int] = {}  # fencing tokens of root runs that could not be released as yet

    def stop(self) -> None:
        """Let every execution end at its next step, and no other begin."""
        self._stopping.set()
        self._trials.close()
        self._workers.close()

    def excuse(self) -> None:
        """Let the end of this process, which is near, count for nothing against what is being executed.

        Raises DatabaseUnavailable.
        """
        if begun := list(self._in_hand.values()):
            self._unguarded.excuse(begun)

    def give_back(self) -> None:
        """Leave to others, or to the next start, what is still being executed. Raises DatabaseUnavailable."""
        for run in list(self._in_hand.values()):
            self._unguarded.release(run.id, run.fencing_token)

    def close(self) -> None:
        """Look no more after what is still being executed."""
        self._executions.close()

    def interrupt(self, run_id: str) -> None:
        """Let the execution of a root run end soon that has been cancelled, if this server executes it."""
        self._executions.interrupt(run_id)

    @property
    def has_workers(self) -> bool:
        """Whether there is anything to execute with: workers end up with threads that never return."""
        return not self._workers.are_lost

    def work(self, run_id: str, segment: int) -> bool:
        """Execute until the end or the next prompt; True if the prompt has been answered meanwhile.

        Raises what the server itself is in trouble with, to be called again after a while.
        """
        try:
            if run_id in self._kept:
                self._release(run_id, self._kept[run_id])
                return False
            run = self._begin(run_id, segment)
            if run is None:
                return False
            self._in_hand[run_id] = run
            with self._emitter.segment(run):
                return self._begun(run)
        except EngineTrouble as trouble:
            raise trouble.__cause__ or trouble from None
        finally:
            self._in_hand.pop(run_id, None)
            self._trials.leave(run_id)

    def _begin(self, run_id: str, segment: int) -> Run | None:
        self._enter(run_id, suspect=False)
        run = self._store.begin(run_id, segment, alone=False)
        if isinstance(run, Suspect):
            self._trials.leave(run_id)
            self._enter(run_id, suspect=True)
            run = self._store.begin(run_id, segment)
            if isinstance(run, Run):
                self._trials.begun(run)
        return run if isinstance(run, Run) else None

    def _enter(self, run_id: str, *, suspect: bool) -> None:
        if cleared := self._trials.enter(run_id, suspect=suspect):
            self._store.excuse(cleared)

    def _begun(self, run: Run) -> bool:
        if run.failed_starts > MOST_FAILED_STARTS:
            text = f"its execution broke off {run.failed_starts - 1} times at the same place, each time with its server"
            self._finish(run, Outcome.failed(Failure("CrashLoop", text)))
            return False
        try:
            with apart():
                return self._looked_after(Execution(run, self._workers))
        except EngineTrouble as trouble:
            if not trouble.passes:  # to begin again counts as a crash, for it may go on for ever
                raise
            logger.warning("%s %s (%s) has to wait: %s", run.kind.value, run.slug, run.id, trouble)
            self._release(run.id, run.fencing_token)
            return False

    def _looked_after(self, execution: Execution) -> bool:
        """Execute on a thread of its own, and go on without those that have had their time and never return."""
        # in a context of its own: what the execution leaves there is no business of anybody else's
        context = contextvars.Context()
        with self._executions.watched(execution):
            main = execution.begin(lambda: context.run(self._execute, execution), "runbook-execution")
            main.add_done_callback(lambda _: execution.over.set())
            execution.over.wait()
        if left := execution.left:
            self._trials.leave(execution.run.id)
            self._workers.give_up(left)
            self._workers.go_on(without=left)
        return bool(main.done() and main.result().result())

    def _time_out(self, execution: Execution) -> None:
        run, outcome = execution.run, Outcome.failed(Failure("Timeout", execution.lateness))
        if self._store.finish(run.id, outcome, run.fencing_token):
            self._emitter.ended(run, outcome)

    def _release(self, run_id: str, fencing_token: int) -> None:
        """Leave a root run to others; what cannot be released yet is kept until it can, so that it is no crash."""
        self._kept[run_id] = fencing_token
        self._store.release(run_id, fencing_token)
        del self._kept[run_id]

    def _execute(self, execution: Execution) -> bool:
        execution.enter()
        run = execution.run
        item = (self._tasks if run.kind is RunKind.TASK else self._runbooks).by_id.get(run.task_id)
        if item is None:
            self._put_back(self._store, run)
            return False
        try:
            values = decode(run.param_values if run.sealed_values is None else self._vault.open(run.sealed_values))
        except VaultError as problem:  # whoever has the key may go on
            logger.error("%s %s (%s) cannot be executed here: %s", run.kind.value, run.slug, run.id, problem)  # noqa: TRY400 - says it all
            self._store.release(run.id, run.fencing_token)
            return False
        journal = Journal(
            run,
            store=self._unguarded,
            stopping=self._stopping,
            emitter=self._emitter,
            vault=self._vault,
            secrets=Secrets.of(run.params, values),
            progressed=partial(self._trials.leave, run.id),
            execution=execution,
        )
        execution.when_interrupted(journal.interrupt)
        if isinstance(item, Task):
            self._finish(run, self._task(journal, item, values))
            return False
        return self._segment(journal, item, values)

    def _task(self, journal: Journal, task: Task[..., Any], values: dict[str, Any]) -> Outcome:
        def call() -> Any:
            with self._emitter.attempt(journal.root, journal.root, 1):
                result = task.function(**task.arguments(values))
                return _go_along_task(journal, result) if inspect.isawaitable(result) else result

        return _outcome(journal, call)

    def _segment(self, journal: Journal, runbook: Runbook[..., Any], values: dict[str, Any]) -> bool:
        run = journal.root
        if journal.has_history and not runbook.code.can_continue(run.source):
            self._put_back(self._store, run)
            return False
        outcome = _outcome(journal, lambda: self._call(journal, runbook, values))
        succeeded = outcome.status is RunStatus.SUCCEEDED
        match journal.halt:
            case EngineTrouble() as trouble:
                raise trouble
            case Stopped():
                self._store.release(run.id, run.fencing_token, journal.execution.spent)
                return False
            case Interrupted():
                outcome = Outcome.cancelled()
            case ReplayMismatch() as mismatch:
                return self._differ(journal, runbook, mismatch)
            case _ if journal.suspended and (journal.main.halt or journal.quiet or succeeded):
                return self._store.pause(run.id, run.fencing_token, journal.execution.spent)
            case _ if succeeded and (rest := journal.unfinished()) is not None:
                text = f"the runbook went another way than before: it ended ahead of {rest!r}"
                return self._differ(journal, runbook, journal.mismatch(text))
            case _:
                pass
        self._finish(run, outcome)
        return False

    def _differ(self, journal: Journal, runbook: Runbook[..., Any], mismatch: Halt) -> bool:
        """Fail a session that does not repeat what it did, unless other code did it: then another may yet go on."""
        run, failure = journal.root, journal.failure(mismatch)
        if runbook.code.is_same_as(run.source):
            self._finish(run, Outcome.failed(failure))
        else:
            self._store.hold(run.id, run.fencing_token, other_way(runbook.code.digest, failure.message))
            self._emitter.held(run)
            logger.warning("%s %s (%s) is held: it differs from what was recorded", run.kind.value, run.slug, run.id)
        return False

    def _call(self, journal: Journal, runbook: Runbook[..., Any], values: dict[str, Any]) -> Any:
        try:
            arguments = runbook.arguments(values)
        except Invalid as problem:
            if journal.has_history:
                raise journal.mismatch(f"its parameters do not fit: {problem}") from None
            raise
        if runbook.is_async:
            return self._go_along(_runner(journal), journal, runbook, arguments)
        journal.start(threading.get_ident())
        return runbook.function(Context(SyncRuntime(journal, self._stopping)), **arguments)

    def _go_along(
        self, runner: asyncio.Runner, journal: Journal, runbook: Runbook[..., Any], arguments: dict[str, Any]
    ) -> Any:
        loop, runtime = runner.get_loop(), AsyncioRuntime(journal, self._stopping)

        def interrupt() -> None:
            with suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(runtime.interrupt)

        journal.execution.when_interrupted(interrupt)

        async def rest() -> None:
            journal.end(quiet=False)
            await runtime.finish_steps()

        try:
            return loops.run(runner, self._along(journal, runtime, runbook, arguments), rest).result()
        finally:
            if runtime.given_up:  # nobody waits for those that would not let themselves be cancelled
                loop.set_exception_handler(_ignore)
                loop.close()
            else:
                loops.close(runner)

    async def _along(
        self, journal: Journal, runtime: AsyncioRuntime, runbook: Runbook[..., Any], arguments: dict[str, Any]
    ) -> Ended:
        """Go along a coroutine function until it ends, or until it must or can get no further."""

        async def main() -> Any:
            journal.start(asyncio.current_task())
            return await runbook.function(AsyncContext(runtime), **arguments)

        task = asyncio.create_task(ended(main()))
        quiet = asyncio.create_task(runtime.until_quiet())
        await asyncio.wait({task, quiet}, return_when=asyncio.FIRST_COMPLETED)
        quiet.cancel()
        journal.end(quiet=not task.done())
        await cancel(task)
        await runtime.finish_steps()
        return task.result()

    def _finish(self, run: Run, outcome: Outcome) -> None:
        async def wait(seconds: float) -> bool:
            return self._stopping.wait(seconds)

        if (
            run_blocking(insist(partial(self._store.finish, run.id, outcome, run.fencing_token), wait))
            and not cancelled()
        ):
            self._emitter.ended(run, outcome)


def _ignore(_loop: asyncio.AbstractEventLoop, _details: dict[str, Any]) -> None:
    """Say nothing of what an event loop has to complain of."""


def _runner(journal: Journal) -> asyncio.Runner:
    """Return a runner that has its event loop."""
    runner = asyncio.Runner()
    with journal.apart():
        runner.get_loop()  # takes descriptors, which may have run out
    return runner


def _go_along_task(journal: Journal, awaitable: Awaitable[Any]) -> Any:
    runner = _runner(journal)
    try:
        return loops.run(runner, _along(journal, awaitable)).result()
    finally:
        loops.close(runner)


async def _along(journal: Journal, awaitable: Awaitable[Any]) -> Ended:
    """Go along what a task has returned until it ends, or is cancelled from outside."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(ended(awaitable))
    over = asyncio.Event()

    def interrupt() -> None:
        with suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(over.set)

    journal.execution.when_interrupted(interrupt)
    waiting = asyncio.create_task(over.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await cancel(task)
    return task.result()


def _outcome(journal: Journal, call: Callable[[], Any]) -> Outcome:
    """Call a function and describe how it ended; what it raised to pause or to stop comes out as a failure, too."""
    try:
        return journal.succeeded(call())
    except EngineTrouble:
        raise
    except PromptCancelled as problem:
        return Outcome.cancelled(journal.failure(problem).message)
    except (NotEncodable, Invalid, Halt, asyncio.CancelledError) as problem:
        return Outcome.failed(journal.failure(problem))
    except BaseException as problem:  # noqa: BLE001 - SystemExit in a runbook ends the session, not the server
        run = journal.root
        with suppress(Exception):  # an application may have filters that raise
            logger.warning("%s %s (%s) failed: %s", run.kind.value, run.slug, run.id, describe(problem))
        return Outcome.failed(journal.failure(problem))
