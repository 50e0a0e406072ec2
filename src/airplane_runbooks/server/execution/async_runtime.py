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
from ..authoring.questions import Question
from .replay import Journal
from .runtime import BaseRuntime
from .signals import Halt
from .threads import Ended
from .timeouts import InTask

_MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)  # for the plain steps of one execution, as asyncio would have
_SLICE = 0.1  # seconds between two looks at whether the server stops
_QUIET_ROUNDS = 50  # of the event loop without a new step or prompt, far more than passing a result on takes


class AsyncioRuntime(BaseRuntime):
    """Executes steps as tasks of the event loop in which the runbook runs.

    Attributes:
        given_up: Tasks that had their time, were cancelled, and go on nevertheless.
    """

    def __init__(self, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(journal, stopping)
        self._steps: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_MOST_THREADS)
        self.given_up: set[asyncio.Task[Any]] = set()

    async def step(self, call: StepCall) -> Any:
        """Execute a step, or return its recorded result. Raises StepFailed."""
        try:
            run = self._find_step(asyncio.current_task(), call)
            if run.status.is_terminal:
                return self._journal.result(run)
            performing = self._journal.perform(run, self._attempt(call), call.retries, self._wait)
            task = asyncio.create_task(performing)
            self._steps.add(task)
            task.add_done_callback(self._step_ended)
            return await asyncio.shield(task)
        except Halt:
            await self._held_up()

    async def prompt(self, question: Question) -> dict[str, Any]:
        """Ask, or return the recorded answer. Raises PromptCancelled."""
        try:
            return self._ask(asyncio.current_task(), question)
        except Halt:
            await self._held_up()

    async def until_quiet(self) -> None:
        """Return when the execution must end, or when it can only wait for humans."""
        journal, rounds, moves = self._journal, 0, -1
        while journal.halt is None and rounds < _QUIET_ROUNDS:
            if self._steps or not journal.suspended:
                rounds = 0
                await self._changed.wait()
                self._changed.clear()
            else:
                rounds = rounds + 1 if moves == journal.moves else 0
                moves = journal.moves
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

    def _attempt(self, call: StepCall) -> Callable[[], Awaitable[Any]]:
        """Return the function that makes one attempt of a step."""
        if call.is_async:
            return call.function if call.timeout is None else self._in_task(call.timeout, call.function)
        limited = self._on_thread(call, _has_ended)

        async def attempt() -> Any:
            async with self._slots:
                if self._journal.halt is not None:  # while it was waiting for a thread
                    raise self._journal.halt
                result = await (self._without_timeout(call.function) if limited is None else limited())
            if not inspect.isawaitable(result):
                return result
            return await (result if call.timeout is None else self._in_task(call.timeout, partial(_await, result))())

        return attempt

    def _in_task(self, timeout: float, call: Callable[[], Coroutine[Any, Any, Any]]) -> InTask:
        return InTask(timeout, call, self._execution.bounded, self.given_up)

    async def _without_timeout(self, function: Callable[[], Any]) -> Any:
        thread = self._begin(function)
        await _has_ended(thread, None)
        return thread.result().result()

    def _step_ended(self, task: asyncio.Task[Any]) -> None:
        self._steps.discard(task)
        if not task.cancelled():
            task.exception()  # the runbook may not have waited for it
        self._changed.set()

    async def _held_up(self) -> NoReturn:
        """Stay here until the execution is ended from outside: nothing raised could be caught and lost on its way."""
        self._changed.set()
        while True:
            await asyncio.get_running_loop().create_future()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _has_ended(thread: Future[Ended], seconds: float | None) -> bool:
    """Wait for a thread, and be cancelled only after that, since a thread cannot be cancelled."""
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
