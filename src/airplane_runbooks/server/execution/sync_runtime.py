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
from ..authoring.displays import Display
from ..authoring.questions import Question
from .call_results import CallResult
from .event_loop import run_blocking
from .runtime import BaseRuntime
from .signals import Signal
from .threads import wait_for

T = TypeVar("T")


class SyncRuntime(BaseRuntime):
    """Executes steps on the thread that calls them, or on a thread of their own if they have a timeout."""

    def step(self, call: StepCall) -> Any:
        """Execute a step, or return its recorded result. Raises StepFailed."""
        run = self._find_step(threading.get_ident(), call)
        if run.status.is_terminal:
            return self._replay.result(run)

        async def attempt() -> Any:
            return call.function()

        async def wait_for_thread(thread: Future[CallResult], seconds: float) -> bool:
            return wait_for(thread, seconds)

        async def wait(seconds: float) -> bool:
            return self._stopping.wait(seconds)

        timed = self._timed_thread(call, wait_for_thread)
        return run_blocking(self._replay.attempts.perform(run, timed or attempt, call.retries, wait))

    def prompt(self, question: Question) -> Any:
        """Ask, or return the recorded answer. Raises PromptCancelled."""
        return self._ask(threading.get_ident(), question)

    def show(self, display: Display) -> None:
        """Record what is shown, unless it is recorded."""
        self._show(threading.get_ident(), display)

    def parallel(self, branches: Sequence[Callable[[], T]], limit: int) -> list[T]:
        """Call functions that have steps and prompts, side by side, at most `limit` at a time."""
        here = self._replay.branches.current(threading.get_ident())
        opened = [self._replay.branches.open(here, here.position, None) for _ in branches]

        def go(number: int) -> T:
            opened[number].owner = threading.get_ident()
            opened[number].enter()
            return branches[number]()

        calls = [
            partial(contextvars.copy_context().run, partial(go, number))  # so that each branch has a place of its own
            for number in range(len(branches))
        ]
        results = self._side_by_side(calls, limit)
        problems = [one.exception for one in results if one.exception is not None]
        for problem in sorted(problems, key=_is_signal):
            if _is_signal(problem):
                here.signal = cast("Signal", problem)
            raise problem
        return [one.value for one in results]

    def _side_by_side(self, calls: Sequence[Callable[[], Any]], limit: int) -> list[CallResult]:
        results: list[CallResult] = [CallResult(None, None)] * len(calls)
        numbers = deque(range(len(calls)))

        def work() -> None:
            with suppress(IndexError):  # there are no more
                while True:
                    number = numbers.popleft()
                    results[number] = CallResult.of(calls[number])

        threads: list[Future[CallResult]] = []
        try:
            threads.extend(self._start_thread(work, "runbook-branch") for _ in range(min(limit, len(calls))))
        finally:
            for thread in threads:
                wait_for(thread)
        return results


def _is_signal(problem: BaseException) -> bool:
    return issubclass(type(problem), Signal)  # isinstance would ask the exception itself, which may raise another one
