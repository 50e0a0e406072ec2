"""Runtime of runbooks that are plain functions: steps and prompts block their thread."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from ..authoring.calls import StepCall
from ..authoring.questions import Question
from .loops import run_blocking
from .runtime import BaseRuntime
from .signals import Halt
from .threads import Ended, outcome_of, wait_for

T = TypeVar("T")


class SyncRuntime(BaseRuntime):
    """Executes steps on the thread of the runbook or of a branch, or on their own if they have a timeout."""

    def step(self, call: StepCall) -> Any:
        """Execute a step, or return its recorded result. Raises StepFailed."""
        run = self._find_step(threading.get_ident(), call)
        if run.status.is_terminal:
            return self._journal.result(run)

        async def attempt() -> Any:
            return call.function()

        async def has_ended(thread: Future[Ended], seconds: float) -> bool:
            return wait_for(thread, seconds)

        async def wait(seconds: float) -> bool:
            return self._stopping.wait(seconds)

        limited = self._on_thread(call, has_ended)
        return run_blocking(self._journal.perform(run, limited or attempt, call.retries, wait))

    def prompt(self, question: Question) -> dict[str, Any]:
        """Ask, or return the recorded answer. Raises PromptCancelled."""
        return self._ask(threading.get_ident(), question)

    def parallel(self, branches: Sequence[Callable[[], T]], limit: int) -> list[T]:
        """Call functions that have steps and prompts, side by side, at most `limit` at a time."""
        journal, here = self._journal, self._journal.branch(threading.get_ident())
        opened = [journal.open(here, here.position, None) for _ in branches]

        def go(number: int) -> T:
            opened[number].owner = threading.get_ident()
            opened[number].enter()
            return branches[number]()

        calls = [
            partial(contextvars.copy_context().run, partial(go, number))  # so that no branch sees another's place
            for number in range(len(branches))
        ]
        ended = self._side_by_side(calls, limit)
        problems = [one.problem for one in ended if one.problem is not None]
        for problem in sorted(problems, key=_is_signal):
            if _is_signal(problem):
                here.halt = cast("Halt", problem)
            raise problem
        return [one.value for one in ended]

    def _side_by_side(self, calls: Sequence[Callable[[], Any]], limit: int) -> list[Ended]:
        ended: list[Ended] = [Ended(None, None)] * len(calls)
        numbers = deque(range(len(calls)))

        def work() -> None:
            with suppress(IndexError):  # there are no more
                while True:
                    number = numbers.popleft()
                    ended[number] = outcome_of(calls[number])

        threads: list[Future[Ended]] = []
        try:
            threads.extend(self._begin(work, "runbook-branch") for _ in range(min(limit, len(calls))))
        finally:
            for thread in threads:
                wait_for(thread)
        return ended


def _is_signal(problem: BaseException) -> bool:
    return issubclass(type(problem), Halt)  # isinstance would ask the exception itself, which may raise another one
