"""The parts of the benchmark in which sessions wait for humans, and clients for sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from . import processes
from .contenders import Ours
from .driver import THREADS
from .polls import NotApplied, polling
from .results import Polls, Results, Waiting
from .stage import POSTGRESQL, SETTLED, SQLITE, Sizes, Stage
from .statements import Counts

WATCHED = 100  # sessions that the long polls wait for
FIFTH = 5  # part of what waits that is there before the memory is looked at, with all that does not grow further


def waiting(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Let many sessions wait, in our servers alone: elsewhere each of them takes a thread."""
    results.waiting = {}
    for database in (SQLITE, POSTGRESQL):
        with stage.ours(database) as contender:
            results.waiting[contender.name] = measure_waiting(stage, contender, sizes)


def measure_waiting(stage: Stage, contender: Ours, sizes: Sizes) -> Waiting:
    """Measure what further sessions add to a server in which some wait already."""
    pid, first = contender.pids[0], sizes.waiting // FIFTH
    let_wait(contender, first)
    time.sleep(SETTLED)
    before = processes.memory(pid)
    let_wait(contender, sizes.waiting - first)
    time.sleep(SETTLED)
    each = (processes.memory(pid) - before) / (sizes.waiting - first)
    _, cost = stage.measured(contender, lambda: time.sleep(sizes.idle))
    return Waiting(sizes.waiting, each, sum(cost) / sizes.idle, processes.threads(pid))


def let_wait(contender: Ours, count: int) -> list[str]:
    """Start sessions that wait at once, and return them when all do."""
    with ThreadPoolExecutor(THREADS) as pool:
        sessions = list(pool.map(lambda number: contender.start("W2", number, 0), range(count)))
    for session in sessions:
        contender.wait_until_asked(session)
    return sessions


def polls(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Let many clients wait for sessions by long polls."""
    results.polls = {}
    processes.allow_descriptors(sizes.polls)
    for database in (SQLITE, POSTGRESQL):
        contender = stage.ours(database, traced=True)
        counter = stage.counter(contender)
        with contender:
            try:
                results.polls[contender.name] = measure_polls(stage, contender, counter, sizes)
            except NotApplied as problem:
                print(f"{contender.name}: no long polls, {problem}")


def measure_polls(stage: Stage, contender: Ours, counter: Callable[[], Counts], sizes: Sizes) -> Polls:
    """Measure what further polls add to a server with some of them, while none of the sessions changes."""
    sessions = let_wait(contender, WATCHED)
    pid, port, first = contender.pids[0], contender.ports[0], sizes.polls // FIFTH
    time.sleep(SETTLED)
    counter()
    time.sleep(sizes.idle)
    idle = counter().statements
    with polling(port, sessions, first):
        time.sleep(SETTLED)
        before = processes.memory(pid)
        with polling(port, sessions, sizes.polls - first):
            time.sleep(SETTLED)
            each = (processes.memory(pid) - before) / (sizes.polls - first)
            counter()
            _, cost = stage.measured(contender, lambda: time.sleep(sizes.idle))
            counts = counter()
    further = max(0.0, counts.statements - idle - counts.calls)
    return Polls(sizes.polls, each, counts.calls / sizes.idle, further / sizes.idle, sum(cost) / sizes.idle)
