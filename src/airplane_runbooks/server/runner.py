"""Executes what an engine hands it: one run of a task, or one stretch of a runbook up to its next prompt."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from .authoring import Registry, Runbook, Task
from .context import Context
from .encoding import NotEncodable, decode, encode
from .errors import Invalid
from .halts import Halt, Interrupted, PromptCancelled, ReplayMismatch, Stopped, Suspended
from .logs import describe
from .records import Failure, Outcome, Run, RunKind
from .store import Store

logger = logging.getLogger(__name__)

MOST_CRASHES = 10  # in a row at one place, before a session is given up


class Runner:
    """Executes runbooks and tasks and writes down in the store how they end."""

    def __init__(self, store: Store, runbooks: Registry[Runbook[..., Any]], tasks: Registry[Task[..., Any]]) -> None:
        self._store = store
        self._runbooks = runbooks
        self._tasks = tasks
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let every execution end at its next step."""
        self._stopping.set()

    def work(self, run_id: str, stretch: int) -> bool:
        """Execute until the end or the next prompt; True if the prompt has been answered meanwhile."""
        run = self._store.begin(run_id, stretch)
        if run is None:
            return False
        if run.crashes > MOST_CRASHES:
            text = f"its execution broke off {run.crashes - 1} times at the same place, each time with its server"
            self._store.finish(run.id, Outcome.failed(Failure("CrashLoop", text)), run.epoch)
            return False
        if run.kind is RunKind.TASK:
            self._task(run)
            return False
        return self._stretch(run)

    def _task(self, run: Run) -> None:
        task = self._tasks.by_id.get(run.task_id)
        outcome = _gone(run) if task is None else _outcome(run, lambda: task.function(**task.arguments(_values(run))))
        self._store.finish(run.id, outcome, run.epoch)

    def _stretch(self, run: Run) -> bool:
        runbook = self._runbooks.by_id.get(run.task_id)
        if runbook is None:
            self._store.finish(run.id, _gone(run), run.epoch)
            return False
        context = Context(self._store, run, self._stopping)
        outcome = _outcome(run, lambda: runbook.function(context, **runbook.arguments(_values(run))))
        match context.halt:
            case Suspended():
                return self._store.pause(run.id, run.epoch)
            case Stopped():
                self._store.release(run.id, run.epoch)
                return False
            case Interrupted():
                outcome = Outcome.cancelled()
            case ReplayMismatch() as mismatch:
                outcome = Outcome.failed(Failure.of(mismatch))
            case _ if outcome.failure is None and (rest := context.unfinished()) is not None:
                text = f"the runbook went another way than before: it ended ahead of {rest!r}"
                outcome = Outcome.failed(Failure("ReplayMismatch", text))
            case _:
                pass
        self._store.finish(run.id, outcome, run.epoch)
        return False


def _values(run: Run) -> dict[str, Any]:
    # decoded for each execution, so that none sees what another did to its lists and dictionaries
    return decode(run.param_values, type=dict[str, Any])


def _gone(run: Run) -> Outcome:
    return Outcome.failed(Failure("LookupError", f"{run.slug} is not served any more"))


def _outcome(run: Run, call: Callable[[], Any]) -> Outcome:
    """Call a function and describe how it ended; what it raised to pause or to stop comes out as a failure, too."""
    try:
        return Outcome.succeeded(encode(call()))
    except PromptCancelled as problem:
        return Outcome.cancelled(str(problem))
    except NotEncodable as problem:
        return Outcome.failed(Failure("TypeError", f"the result has no form in JSON: {problem}"))
    except Invalid as problem:
        return Outcome.failed(Failure.of(problem))
    except Halt as halt:
        return Outcome.failed(Failure.of(halt))
    except BaseException as problem:  # noqa: BLE001 - SystemExit in a runbook ends the session, not the server
        logger.warning("%s %s (%s) failed: %s", run.kind.value, run.slug, run.id, describe(problem))
        return Outcome.failed(Failure.of(problem))
