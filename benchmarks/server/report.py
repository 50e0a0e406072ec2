"""The results as tables of text."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import budgets

from .budgets import KB, verdicts
from .figures import median, percentile, ratio
from .results import Alone, Latency, Load, Results
from .stage import DBOS

WIDTH = 26


def lines(results: Results) -> Iterator[str]:
    """Yield all tables of what was measured."""
    yield f"commit {results.commit}, {results.cores} cores for everything; read ratios, not figures"
    if results.against:
        yield f"earlier: {results.against}"
    yield from _loads(results)
    yield from _latencies(results)
    yield from _alone(results)
    yield from _waiting(results)
    yield from _polls(results)
    yield from _servers(results)
    yield from _budgets(results)


def _loads(results: Results) -> Iterator[str]:
    for workload in sorted({workload for loads in results.loads.values() for workload in loads}):
        yield ""
        head = f"{workload + ', 16 clients':<{WIDTH}}{'CPU ms':>8}{'server':>8}{'database':>9}{'ended/s':>9}"
        yield f"{head}{'ack p50 ms':>11}{'CPU x DBOS':>11}{'CPU x earlier':>14}{'ended/s x':>10}"
        for name, loads in results.loads.items():
            yield f"{name:<{WIDTH}}{_load(loads[workload])}{_beside(results, name, workload)}"
    if results.slowdown:
        yield f"{'slowdown by other work on the machine':<46}{median(results.slowdown):>9.2f}"
    for name, values in results.limits.items():
        yield f"{name:<46}{median(values):>9.0f}"


def _load(load: Load) -> str:
    parts = [1000 * median(values) for values in (load.cpu, load.server_cpu, load.database_cpu)]
    acknowledged = 1000 * percentile(load.acknowledged, 50)
    return f"{parts[0]:>8.2f}{parts[1]:>8.2f}{parts[2]:>9.2f}{median(load.ended):>9.0f}{acknowledged:>11.1f}"


def _beside(results: Results, name: str, workload: str) -> str:
    """Write ratios over bare DBOS, and over the earlier commit, on the same database."""
    load, database = results.loads[name][workload], name.partition(", ")[2]
    dbos = results.loads[f"{DBOS}, {database}"][workload]
    cells = f"{ratio(load.cpu, dbos.cpu):>11.2f}"
    if (loads := results.loads.get(f"earlier, {database}")) is not None:
        cells += f"{ratio(load.cpu, loads[workload].cpu):>14.2f}{ratio(load.ended, loads[workload].ended):>10.2f}"
    return cells


def _latencies(results: Results) -> Iterator[str]:
    if results.latencies:
        yield ""
        names = ("acknowledged", "start -> end", "answer -> end", "execute_and_wait")
        count = len(next(iter(results.latencies.values())).start_to_end)
        yield f"{f'one at a time, {count} times, p50 / p99 ms':<45}" + "".join(f"{name:>19}" for name in names)
    for name, found in results.latencies.items():
        yield f"{name:<45}" + "".join(f"{_pair(times):>19}" for times in _times(found))


def _times(found: Latency) -> tuple[list[float], ...]:
    return found.acknowledged, found.start_to_end, found.answer_to_end, found.execute_and_wait


def _pair(times: list[float]) -> str:
    return f"{1000 * percentile(times, 50):.1f} / {1000 * percentile(times, 99):.1f}" if times else "-"


def _alone(results: Results) -> Iterator[str]:
    if results.alone:
        yield ""
        head = f"{'idle':<{WIDTH}}{'statements/s':>13}{'CPU %':>7}{'MiB':>6}{'threads':>8}"
        yield f"{head}  commits of ours + of DBOS / statements / HTTP calls per session"
    for name, found in results.alone.items():
        yield f"{name:<{WIDTH}}{_idle(found)}  {_counts(found)}"


def _idle(found: Alone) -> str:
    return f"{found.idle.statements:>13.1f}{100 * found.cpu:>7.2f}{found.memory / 2**20:>6.0f}{found.threads:>8}"


def _counts(found: Alone) -> str:
    return "; ".join(
        f"{name}: {one.commits:.1f} + {one.queue_commits:.1f} / {one.statements:.1f} / {one.calls:.1f}"
        for name, one in found.per_session.items()
    )


def _waiting(results: Results) -> Iterator[str]:
    if results.waiting:
        yield ""
    for name, found in results.waiting.items():
        yield (
            f"{name:<{WIDTH}}{found.sessions} waiting: {found.bytes_each / KB:.1f} KB each, "
            f"{100 * found.cpu:.1f} % of a core, {found.threads} threads"
        )


def _polls(results: Results) -> Iterator[str]:
    for name, found in results.polls.items():
        yield (
            f"{name:<{WIDTH}}{found.polls} long polls: {found.bytes_each / KB:.1f} KB each, "
            f"{found.statements:.1f} statements/s beyond one for each of {found.calls:.0f} calls/s, "
            f"{100 * found.cpu:.1f} % of a core"
        )


def _servers(results: Results) -> Iterator[str]:
    if results.servers:
        yield ""
    for number, load in results.servers.items():
        yield (
            f"{number} on one PostgreSQL: {median(load.ended):.0f} ended/s, CPU of a session "
            f"{1000 * median(load.cpu):.1f} ms, {1000 * median(load.database_cpu):.1f} ms of it the database's"
        )


def _budgets(results: Results) -> Iterator[str]:
    slowed = f", which slowed it {median(results.slowdown):.1f} times in the bursts" if results.slowdown else ""
    yield ""
    yield f"in x: ratios within the same rounds; in ms by the clock: with all other work on the machine{slowed}"
    for database, found in verdicts(results).items():
        yield ""
        yield from budgets.lines(f"budgets, {database}", found)
