"""Runtime of async runbooks: steps are tasks of the event loop, plain functions run on threads."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, NoReturn

from ..authoring.calls import StepCall
from ..authoring.displays import Display
from ..authoring.questions import Question
from ..storage.records import Run
from .call_results import CallResult
from .replay import Replay
from .runtime import BaseRuntime
from .signals import Signal
from .timeouts import TimedTask

_MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)  # for the plain steps of one execution, as asyncio would have
_SLICE = 0.1  # seconds between two looks at whether the server stops
_IDLE_ROUNDS = 50  # of the event loop without a new step or prompt: far more than it takes to pass a result on


class AsyncioRuntime(BaseRuntime):
    """Executes steps as tasks of the event loop in which the runbook runs.

    Attributes:
        abandoned: Tasks that timed out, were cancelled, and go on nevertheless.
    """

    def __init__(self, replay: Replay, stopping: threading.Event) -> None:
        super().__init__(replay, stopping)
        self._steps: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_MOST_THREADS)
        self.abandoned: set[asyncio.Task[Any]] = set()

    async def step(self, call: StepCall) -> Any:
        """Execute a step, or return its recorded result. Raises StepFailed."""
        try:
            run = self._find_step(asyncio.current_task(), call)
            if run.status.is_terminal:
                return self._replay.result(run)
            performing = self._replay.attempts.perform(run, self._attempt(run, call), call.retries, self._wait)
            task = asyncio.create_task(performing)
            self._steps.add(task)
            task.add_done_callback(self._step_ended)
            return await asyncio.shield(task)
        except Signal:
            await self._wait_for_end()

    async def prompt(self, question: Question) -> Any:
        """Ask, or return the recorded answer. Raises PromptCancelled."""
        try:
            return self._ask(asyncio.current_task(), question)
        except Signal:
            await self._wait_for_end()

    async def show(self, display: Display) -> None:
        """Record what is shown, unless it is recorded."""
        try:
            self._show(asyncio.current_task(), display)
        except Signal:
            await self._wait_for_end()

    async def until_idle(self) -> None:
        """Return when the execution must end, or when it can only wait for humans."""
        replay, rounds, step_count = self._replay, 0, -1
        while replay.signal is None and rounds < _IDLE_ROUNDS:
            if self._steps or not replay.is_awaiting_prompt:
                rounds = 0
                await self._changed.wait()
                self._changed.clear()
            else:
                rounds = rounds + 1 if step_count == replay.step_count else 0
                step_count = replay.step_count
                await asyncio.sleep(0)

    def interrupt(self) -> None:
        """Cancel the steps that are coroutines, and let the execution end."""
        for step in self._steps:
            step.cancel()
        self._changed.set()

    async def finish_steps(self) -> None:
        """Wait for the steps that have begun to be recorded."""
        while self._steps:
            await asyncio.wait(self._steps)

    async def _wait(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._stopping.is_set() and (left := end - loop.time()) > 0:  # noqa: ASYNC110 - not an event of asyncio
            await asyncio.sleep(min(left, _SLICE))
        return self._stopping.is_set()

    def _attempt(self, run: Run, call: StepCall) -> Callable[[], Awaitable[Any]]:
        """Return the function that makes one attempt of a step."""
        if call.is_async:
            return call.function if call.timeout is None else self._timed_task(run, call.timeout, call.function)
        timed = self._timed_thread(call, _wait_for_thread)

        async def attempt() -> Any:
            async with self._slots:
                if self._replay.signal is not None:  # while it was waiting for a thread
                    raise self._replay.signal
                result = await (self._on_thread(call.function) if timed is None else timed())
            if not inspect.isawaitable(result):
                return result
            return await (
                result if call.timeout is None else self._timed_task(run, call.timeout, partial(_await, result))()
            )

        return attempt

    def _timed_task(self, run: Run, timeout: float, call: Callable[[], Coroutine[Any, Any, Any]]) -> TimedTask:
        return TimedTask(timeout, call, partial(self._execution.limited_to, run), self.abandoned)

    async def _on_thread(self, function: Callable[[], Any]) -> Any:
        thread = self._start_thread(function)
        await _wait_for_thread(thread, None)
        return thread.result().unwrap()

    def _step_ended(self, task: asyncio.Task[Any]) -> None:
        self._steps.discard(task)
        if not task.cancelled():
            task.exception()  # so that asyncio does not report it: the runbook may not have awaited it
        self._changed.set()

    async def _wait_for_end(self) -> NoReturn:
        """Stay here until the execution is ended from outside: the runbook could catch a signal that is raised."""
        self._changed.set()
        while True:
            await asyncio.get_running_loop().create_future()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _wait_for_thread(thread: Future[CallResult], seconds: float | None) -> bool:
    """Wait for a thread. A cancellation takes effect only after that, since a thread cannot be cancelled."""
    waiter = asyncio.wrap_future(thread)
    problem: asyncio.CancelledError | None = None
    while not waiter.done():
        try:
            await asyncio.wait({waiter}, timeout=seconds)
            break
        except asyncio.CancelledError as cancellation:
            problem = cancellation
    if problem is not None:
        raise problem
    waiter.cancel()
    return thread.done()
