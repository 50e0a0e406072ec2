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


def waiting(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Let many sessions wait, in our servers alone: elsewhere each of them takes a thread."""
    results.waiting = {}
    for database in (SQLITE, POSTGRESQL):
        with stage.ours(database) as contender:
            results.waiting[contender.name] = measure_waiting(stage, contender, sizes)


def measure_waiting(stage: Stage, contender: Ours, sizes: Sizes) -> Waiting:
    """Measure what the sessions add to a server that has been used before."""
    contender.burst("W2", WATCHED)
    time.sleep(SETTLED)
    pid = contender.pids[0]
    before = processes.memory(pid)
    let_wait(contender, sizes.waiting)
    time.sleep(SETTLED)
    taken = processes.memory(pid) - before
    _, cost = stage.measured(contender, lambda: time.sleep(sizes.idle))
    return Waiting(sizes.waiting, taken / sizes.waiting, sum(cost) / sizes.idle, processes.threads(pid))


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
    processes.allow_descriptors(2 * sizes.waiting)
    for database in (SQLITE, POSTGRESQL):
        contender = stage.ours(database, traced=True)
        counter = stage.counter(contender)
        with contender:
            try:
                results.polls[contender.name] = measure_polls(stage, contender, counter, sizes)
            except NotApplied as problem:
                print(f"{contender.name}: no long polls, {problem}")


def measure_polls(stage: Stage, contender: Ours, counter: Callable[[], Counts], sizes: Sizes) -> Polls:
    """Measure what the polls add to an idle server, while none of the sessions changes."""
    sessions = let_wait(contender, WATCHED)
    pid = contender.pids[0]
    with polling(contender.ports[0], sessions[:1], 1):  # the server keeps from here on what the first poll has made
        time.sleep(SETTLED)
    counter()
    time.sleep(sizes.idle)
    idle = counter().statements
    before = processes.memory(pid)
    with polling(contender.ports[0], sessions, sizes.waiting):
        time.sleep(SETTLED)
        counter()
        _, cost = stage.measured(contender, lambda: time.sleep(sizes.idle))
        counts = counter()
        taken = processes.memory(pid) - before
    return Polls(sizes.waiting, taken, (counts.statements - idle) / sizes.idle, sum(cost) / sizes.idle)
