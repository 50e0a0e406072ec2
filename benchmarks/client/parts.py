"""Runs of a group's contenders, in blocks that take turns."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from .canned import Endpoint
from .contenders import AsyncMake, Call, Make
from .groups import BLOCK, Group
from .results import Measured, Times

WARM_UP = 50
Calls = Callable[[int], None]
"""Function that makes so many calls, on each thread or in each place of those in flight."""


def interleaved(group: Group, endpoint: Endpoint, rounds: int) -> Measured:
    """Let the contenders of a group take turns for some rounds."""
    found = Measured(reference=group.reference, times={name: Times() for name in group.makers})
    with ExitStack() as stack:
        clients = {name: stack.enter_context(running(name, group, endpoint)) for name in group.makers}
        for calls in clients.values():
            calls(WARM_UP)
        order = list(clients)
        for _ in range(rounds):
            random.shuffle(order)
            for name in order:
                found.times[name].add(*timed(clients[name], group))
    return found


def timed(calls: Calls, group: Group) -> tuple[float, float]:
    """Return the seconds of wall time and of CPU for each call of a block."""
    count = BLOCK * max(1, group.threads, group.in_flight)
    started, started_cpu = time.perf_counter(), time.process_time()
    calls(BLOCK)
    wall, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    return wall / count - group.pause, cpu / count


@contextmanager
def running(name: str, group: Group, endpoint: Endpoint) -> Iterator[Calls]:
    """Give the function that makes calls as one of the contenders does."""
    make = group.makers[name]
    if group.in_flight:
        with on_a_loop(make, endpoint, group.in_flight) as calls:
            yield calls
    elif group.threads > 1:
        with on_threads(make, endpoint, group.threads) as calls:
            yield calls
    else:
        yield partial(repeated, make(endpoint), group.pause)


def repeated(call: Call, pause: float, count: int) -> None:
    for _ in range(count):
        if pause:
            time.sleep(pause)
        call()


@contextmanager
def on_threads(make: Make, endpoint: Endpoint, threads: int) -> Iterator[Calls]:
    """Give the function that makes calls on some threads, which share one client."""
    call = make(endpoint)
    with ThreadPoolExecutor(threads) as pool:
        yield lambda count: list(pool.map(partial(repeated, call, 0.0), [count] * threads)) and None


@contextmanager
def on_a_loop(make: AsyncMake, endpoint: Endpoint, in_flight: int) -> Iterator[Calls]:
    """Give the function that makes calls on an event loop, some in flight at a time."""
    loop = asyncio.new_event_loop()
    call, close = loop.run_until_complete(make(endpoint, in_flight))

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    async def work_together(count: int) -> None:
        await asyncio.gather(*(work(count) for _ in range(in_flight)))

    try:
        yield lambda count: loop.run_until_complete(work(count) if in_flight == 1 else work_together(count))
    finally:
        loop.run_until_complete(close())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
