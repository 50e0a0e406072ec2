"""Event loops of async runbooks and tasks. Exceptions raised there are reported by the caller, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from ..logs import describe_authors
from .call_results import CallResult

T = TypeVar("T")

logger = logging.getLogger(__name__)

_EXITS = (SystemExit, KeyboardInterrupt)  # end an event loop, in whichever of its tasks they are raised
_PATIENCE = 0.05  # seconds between two cancellations of a task


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # T
    raise AssertionError("the coroutine suspended")


async def cancel(task: asyncio.Future[Any]) -> None:
    """Cancel a task until it has ended: it may catch one cancellation and wait for something else."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_PATIENCE)


def run(
    runner: asyncio.Runner,
    main: Coroutine[Any, Any, CallResult],
    finish: Callable[[], Coroutine[Any, Any, None]] = lambda: asyncio.sleep(0),
) -> CallResult:
    """Run a coroutine. If another task of its loop exits instead, run `finish` before returning the exit."""
    runner.get_loop().set_exception_handler(_log)
    try:
        return runner.run(main)
    except _EXITS as problem:
        exit_ = problem
    while True:
        with suppress(*_EXITS):  # of one more task
            runner.run(finish())
            return CallResult(None, exit_)


def close(runner: asyncio.Runner) -> None:
    """Cancel the tasks that are left, and close the loop."""
    with suppress(*_EXITS):
        runner.close()


def abandon(runner: asyncio.Runner) -> None:
    """Close the loop although some of its tasks do not let themselves be cancelled."""
    loop = runner.get_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.close()


def _log(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log the failure of a task that was never awaited, without its message."""
    problem = context.get("exception")
    if problem is None:
        logger.warning("%s", context["message"])
    elif not issubclass(type(problem), _EXITS):
        logger.warning("a task that was never awaited failed: %s", describe_authors(problem))
