"""The parts of the benchmark. Each is measured in rounds in which the contenders take turns, or alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from . import disk, processes
from .contenders import Contender, Ours
from .driver import THREADS
from .results import FURTHER, STEPS, WHOLE, Alone, Latency, Load, Results
from .stage import POSTGRESQL, SETTLED, Sizes, Stage
from .statements import Counts

WORKLOADS = ("W1", "W2")
PAUSE = 0.03  # seconds at most between sessions one at a time, so that they meet a poll at any moment of it
COUNTED = 10  # sessions over which statements and commits are counted


def throughput(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Measure bursts of sessions, and what the disk can do, in rounds that begin with another contender each time."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(contender) for contender in stage.contenders()]
        results.loads = {one.name: {workload: Load() for workload in WORKLOADS} for one in contenders}
        results.limits, results.slowdown = {}, []
        for contender in contenders:
            for workload in WORKLOADS:
                contender.burst(workload, THREADS)  # warm up
        rows = stage.postgres.fresh()
        for turn in sizes.turns(sizes.rounds):
            for contender in rotated(contenders, turn):
                for workload in WORKLOADS:
                    measure_burst(stage, contender, workload, sizes.burst, results.loads[contender.name][workload])
            results.slowdown.append(processes.slowdown())
            for name, value in disk.limits(stage.folder, rows, 0.3).items():
                results.limits.setdefault(name, []).append(value)


def measure_burst(stage: Stage, contender: Contender, workload: str, sessions: int, load: Load) -> None:
    """Add one burst to a load."""
    burst, cost = stage.measured(contender, lambda: contender.burst(workload, sessions))
    load.server_cpu.append(cost.servers / sessions)
    load.database_cpu.append(cost.database / sessions)
    load.ended.append(sessions / burst.seconds)
    load.acknowledged += burst.acknowledged


def rotated(contenders: Sequence[Contender], turn: int) -> Iterator[Contender]:
    """Yield all, beginning with another one each turn."""
    for number in range(len(contenders)):
        yield contenders[(number + turn) % len(contenders)]


def latency(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Measure sessions one at a time, of all contenders in turn."""
    draw = random.Random(1)
    with ExitStack() as stack:
        contenders = [stack.enter_context(contender) for contender in stage.contenders()]
        results.latencies = {one.name: Latency() for one in contenders}
        for contender in contenders:
            for workload in WORKLOADS:
                contender.single(workload, 0)
        for number in sizes.turns(sizes.singles):
            for contender in rotated(contenders, number):
                measure_single(contender, number, results.latencies[contender.name], draw)


def measure_single(contender: Contender, number: int, found: Latency, draw: random.Random) -> None:
    """Add one session of each workload, and one that a client waits for."""
    time.sleep(draw.uniform(0, PAUSE))
    first = contender.single("W1", number)
    time.sleep(draw.uniform(0, PAUSE))
    second = contender.single("W2", number)
    assert second.answered is not None
    found.acknowledged += [first.acknowledged, second.acknowledged]
    found.start_to_end.append(first.rest)
    found.start_to_ask.append(second.rest)
    found.answer_to_end.append(second.answered)
    if isinstance(contender, Ours):
        time.sleep(draw.uniform(0, PAUSE))
        found.execute_and_wait.append(contender.execute_and_wait(number))


def alone(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Look at each contender without the others: idle, then at one session at a time, counting all that it does."""
    results.alone = {}
    for contender in stage.contenders(traced=True):
        counter = stage.counter(contender)
        with contender:
            for workload in WORKLOADS:
                contender.single(workload, 0)
            time.sleep(SETTLED)
            results.alone[contender.name] = measure_alone(stage, contender, counter, sizes)


def measure_alone(stage: Stage, contender: Contender, counter: Callable[[], Counts], sizes: Sizes) -> Alone:
    """Measure an idle server, then count what its sessions do beyond that."""
    counter()
    began = time.perf_counter()
    _, cost = stage.measured(contender, lambda: time.sleep(sizes.idle))
    idle = counter().per_session(Counts(), 0.0, time.perf_counter() - began)
    pid = contender.pids[0]
    found = Alone(
        cost.servers / sizes.idle, cost.database / sizes.idle, processes.memory(pid), processes.threads(pid), idle, {}
    )
    for name, session in counted_sessions(contender).items():
        began = time.perf_counter()
        for number in range(COUNTED):
            session(number)
        found.per_session[name] = counter().per_session(idle, time.perf_counter() - began, COUNTED)
    return found


def counted_sessions(contender: Contender) -> dict[str, Callable[[int], object]]:
    """Return functions that see one session through, by their names in the results."""
    found: dict[str, Callable[[int], object]] = {
        workload: partial(contender.single, workload) for workload in WORKLOADS
    }
    if isinstance(contender, Ours):
        ours = contender
        found[FURTHER] = lambda number: ours.ended(ours.start("W1", number, 1 + STEPS))
        found[WHOLE] = ours.execute_and_wait
    return found


def servers(stage: Stage, sizes: Sizes, results: Results) -> None:
    """Measure the sessions of one server, and of three that share a PostgreSQL, in rounds."""
    with ExitStack() as stack:
        contenders = {number: stack.enter_context(stage.ours(POSTGRESQL, servers=number)) for number in (1, 3)}
        results.servers = {number: Load() for number in contenders}
        for contender in contenders.values():
            contender.burst("W1", 3 * THREADS)
        for _ in sizes.turns(sizes.rounds):
            for number, contender in contenders.items():
                measure_burst(stage, contender, "W1", sizes.burst, results.servers[number])
