"""A contender in a process of its own, so that its end is not the end of the others.

It makes calls when it is told how many by a line on its input, and answers each with a line: seconds of wall time and
of CPU for each request. `garbage` makes it look at what calls leave behind instead.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .asynchronous import AsyncMake
from .canned import Endpoint
from .contenders import Call, Make
from .groups import GROUPS, Group
from .instructions import counting

WARM_UP = 30
UNCOLLECTED, MANY = 1000, 10_000  # calls without a collection of garbage, and those between two looks at the memory
Calls = Callable[[int], None]
"""Function that makes so many calls, on each thread or in each place of those in flight."""


def main(group_name: str, who: str, port: str, ca: str, count: str = "") -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    group = GROUPS[group_name]
    calls = calls_of(group.makers[who], group, Endpoint(int(port), ca))
    calls(max(3, WARM_UP // group.places))
    if count:
        with counting():
            calls(int(count))
        leave()
    for order in sys.stdin:
        figures = garbage(calls) if order.strip() == "garbage" else timed(calls, group, int(order))
        print(*figures, file=answers)
    leave()


def leave() -> None:
    """End without tidying up, in which one of the contenders may abort the interpreter."""
    os._exit(0)


def timed(calls: Calls, group: Group, count: int) -> tuple[float, float]:
    """Return the seconds of wall time and of CPU for each request, once the processor's caches are warm again."""
    if not group.pause and group.places < count:
        calls(1 + count // 10)
    requests = count * group.places
    started, started_cpu = time.perf_counter(), time.process_time()
    calls(count)
    wall, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    return wall / requests - group.pause, cpu / requests


def garbage(calls: Calls) -> tuple[float, float]:
    """Return the objects that each call leaves in cycles, and the bytes by which thousands of calls let memory grow."""
    calls(UNCOLLECTED)
    gc.collect()
    gc.disable()
    calls(UNCOLLECTED)
    in_cycles = gc.collect() / UNCOLLECTED
    gc.enable()
    before = memory()
    calls(MANY)
    gc.collect()
    return in_cycles, max(0, memory() - before)


def memory() -> int:
    """Return the bytes that this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def calls_of(make: Make | AsyncMake, group: Group, endpoint: Endpoint) -> Calls:
    """Return the function that makes calls as the group wants them."""
    if group.in_flight:
        return on_a_loop(make, endpoint, group.in_flight)  # type: ignore[arg-type]  # groups hold one kind
    if group.threads > 1:
        return on_threads(make, endpoint, group.threads)  # type: ignore[arg-type]  # likewise
    return partial(repeated, make(endpoint), group.pause)  # type: ignore[arg-type, call-arg]  # likewise


def repeated(call: Call, pause: float, count: int) -> None:
    for _ in range(count):
        if pause:
            time.sleep(pause)
        call()


def on_threads(make: Make, endpoint: Endpoint, threads: int) -> Calls:
    """Return the function that makes calls on some threads, which share one client."""
    call, pool = make(endpoint), ThreadPoolExecutor(threads)

    def calls(count: int) -> None:
        list(pool.map(partial(repeated, call, 0.0), [count] * threads))

    return calls


def on_a_loop(make: AsyncMake, endpoint: Endpoint, in_flight: int) -> Calls:
    """Return the function that makes calls on an event loop, some in flight at a time."""
    loop = asyncio.new_event_loop()
    call = loop.run_until_complete(make(endpoint, in_flight))

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    async def work_together(count: int) -> None:
        await asyncio.gather(*(work(count) for _ in range(in_flight)))

    return lambda count: loop.run_until_complete(work(count) if in_flight == 1 else work_together(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
