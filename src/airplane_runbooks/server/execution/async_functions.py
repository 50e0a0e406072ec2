"""Execution of async runbooks and tasks, each on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from ..authoring.contexts import AsyncContext
from . import event_loop
from .async_runtime import AsyncioRuntime
from .call_results import CallResult
from .replay import Replay


def run_async_runbook(
    replay: Replay, stopping: threading.Event, function: Callable[[AsyncContext], Coroutine[Any, Any, Any]]
) -> Any:
    """Run an async runbook until it ends, or until it must end or can only wait for humans."""
    runner = _runner(replay)
    runtime = AsyncioRuntime(replay, stopping)
    _on_interrupt(replay, runner.get_loop(), runtime.interrupt)

    async def finish() -> None:
        replay.end(idle=False)
        await runtime.finish_steps()

    try:
        return event_loop.run(runner, _until_end_or_idle(replay, runtime, function), finish).unwrap()
    finally:
        if runtime.abandoned:
            event_loop.abandon(runner)
        else:
            event_loop.close(runner)


def run_async_task(replay: Replay, awaitable: Awaitable[Any]) -> Any:
    """Await the value that the function of a task returned, until it ends or the execution is interrupted."""
    runner = _runner(replay)
    try:
        return event_loop.run(runner, _until_end_or_interrupt(replay, awaitable)).unwrap()
    finally:
        event_loop.close(runner)


def _runner(replay: Replay) -> asyncio.Runner:
    """Return a runner that has its event loop."""
    runner = asyncio.Runner()
    with replay.as_server_failure():
        runner.get_loop()  # takes descriptors, which may have run out
    return runner


def _on_interrupt(replay: Replay, loop: asyncio.AbstractEventLoop, hook: Callable[[], None]) -> None:
    """Call a function in the event loop once the execution is interrupted."""

    def interrupt() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(hook)

    replay.execution.on_interrupt(interrupt)


async def _until_end_or_idle(
    replay: Replay, runtime: AsyncioRuntime, function: Callable[[AsyncContext], Coroutine[Any, Any, Any]]
) -> CallResult:
    async def main() -> Any:
        replay.branches.start(asyncio.current_task())
        return await function(AsyncContext(runtime))

    task = asyncio.create_task(CallResult.of_awaitable(main()))
    idle = asyncio.create_task(runtime.until_idle())
    await asyncio.wait({task, idle}, return_when=asyncio.FIRST_COMPLETED)
    idle.cancel()
    replay.end(idle=not task.done())
    await event_loop.cancel(task)
    await runtime.finish_steps()
    return task.result()


async def _until_end_or_interrupt(replay: Replay, awaitable: Awaitable[Any]) -> CallResult:
    task = asyncio.create_task(CallResult.of_awaitable(awaitable))
    interrupted = asyncio.Event()
    _on_interrupt(replay, asyncio.get_running_loop(), interrupted.set)
    waiting = asyncio.create_task(interrupted.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await event_loop.cancel(task)
    return task.result()
