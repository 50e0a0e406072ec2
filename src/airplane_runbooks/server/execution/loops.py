"""Event loops of runbooks and tasks. What is raised there is described by the caller, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from ..logs import describe
from .threads import Ended

T = TypeVar("T")

logger = logging.getLogger(__name__)

_EXITS = (SystemExit, KeyboardInterrupt)  # end an event loop, whichever of its tasks raises them
_PATIENCE = 0.05  # seconds between two cancellations of a task that does not let go


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # T
    raise AssertionError("it was suspended")


async def ended(awaitable: Awaitable[Any]) -> Ended:
    """Await, and return how it has ended: no task that holds this raises."""
    try:
        return Ended(await awaitable, None)
    except BaseException as problem:  # noqa: BLE001 - to be raised where it is waited for
        return Ended(None, problem)


async def cancel(task: asyncio.Future[Any]) -> None:
    """Cancel until it has ended: it may catch one cancellation and wait for something else."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_PATIENCE)


def run(
    runner: asyncio.Runner,
    main: Coroutine[Any, Any, Ended],
    rest: Callable[[], Coroutine[Any, Any, None]] = lambda: asyncio.sleep(0),
) -> Ended:
    """Run a coroutine; if another task of its loop exits instead, run the `rest` of what must not be left undone."""
    runner.get_loop().set_exception_handler(_tell)
    try:
        return runner.run(main)
    except _EXITS as problem:
        exit_ = problem
    while True:
        with suppress(*_EXITS):  # of one more task
            runner.run(rest())
            return Ended(None, exit_)


def close(runner: asyncio.Runner) -> None:
    """Cancel what is left, and close the loop."""
    with suppress(*_EXITS):
        runner.close()


def _tell(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what became of a task that nobody waited for, without its message."""
    problem = context.get("exception")
    if problem is None:
        logger.warning("%s", context["message"])
    elif not issubclass(type(problem), _EXITS):
        logger.warning("a task that nobody waited for failed: %s", describe(problem))
