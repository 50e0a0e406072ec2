"""The budgets of the server, and whether measured figures meet them.

A budget in x bounds a ratio of figures of the same rounds, so other work on the machine changes it little. One in ms
bounds what the clock showed, which other work makes longer; only that of the CPU says that it is made up for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.budgets import Budget, Verdict, judged

from .figures import median, percentile, ratio
from .results import FURTHER, STEPS, WHOLE, Latency, Results
from .stage import DBOS, EARLIER, OURS, POSTGRESQL, SQLITE

KB, MB = 1000, 1_000_000
ODD = 0.4  # commits of a session: four in the ten sessions that are counted


def commits(session: str, database: str) -> Callable[[Results], float]:
    """Return what finds the commits of one session on our own tables."""
    return lambda results: results.alone[f"{OURS}, {database}"].per_session[session].commits


def further(database: str) -> Callable[[Results], float]:
    """Return what finds the commits of each further step."""
    return lambda results: (commits(FURTHER, database)(results) - commits("W1", database)(results)) / STEPS


def milliseconds(database: str, times: Callable[[Latency], list[float]], percent: float) -> Callable[[Results], float]:
    """Return what finds a percentile of our latencies."""
    return lambda results: 1000 * percentile(times(results.latencies[f"{OURS}, {database}"]), percent)


def time_beside_dbos(database: str, times: Callable[[Latency], list[float]]) -> Callable[[Results], float]:
    """Return what finds the ratio of our latencies to those of bare DBOS on PostgreSQL."""
    return lambda results: ratio(
        times(results.latencies[f"{OURS}, {database}"]), times(results.latencies[f"{DBOS}, {POSTGRESQL}"])
    )


def overhead_of_client(results: Results, database: str) -> float:
    """Return what a client that waits adds to the server's own time, as a ratio."""
    found = results.latencies[f"{OURS}, {database}"]
    return percentile(found.execute_and_wait, 50) / percentile(found.start_to_end, 50)


def quiet_cpu(results: Results, database: str) -> float:
    """Return the milliseconds of a session of one step, as they would about be without other work on the machine."""
    return 1000 * median(results.loads[f"{OURS}, {database}"]["W1"].cpu) / median(results.slowdown)


def cpu_beside(results: Results, other: str, database: str) -> float:
    """Return the ratio of the CPU of a session of one step."""
    return ratio(results.loads[f"{OURS}, {database}"]["W1"].cpu, results.loads[f"{other}, {database}"]["W1"].cpu)


def ended_beside(results: Results, other: str, database: str) -> float:
    """Return the ratio of the sessions of one step that ended each second."""
    return ratio(results.loads[f"{OURS}, {database}"]["W1"].ended, results.loads[f"{other}, {database}"]["W1"].ended)


def database_share(results: Results) -> float:
    """Return the database's CPU per session with three servers, over that with one."""
    return ratio(results.servers[3].database_cpu, results.servers[1].database_cpu)


def memory_of_polls(results: Results, database: str) -> float:
    """Return the MB that 10,000 of the long polls take."""
    return results.polls[f"{OURS}, {database}"].bytes_each * 10_000 / MB


def of_database(database: str) -> Iterator[Budget]:
    """Yield the budgets that hold on either database."""
    yield Budget("commits of W1", 2, "", commits("W1", database), odd=ODD)
    yield Budget("commits of W2", 5, "", commits("W2", database), odd=ODD)
    yield Budget("commits of each further step", 1, "", further(database), odd=ODD)
    # 12 ms over what bare DBOS took where the budgets were made
    for name, times, beside in (("start -> end", start_to_end, 2.2), ("answer -> end", answer_to_end, 1.3)):
        yield Budget(f"{name}, p50 by the clock", 12, "ms", milliseconds(database, times, 50))
        yield Budget(f"{name}, p99 by the clock", 40, "ms", milliseconds(database, times, 99))
        yield Budget(f"{name} beside bare DBOS, PostgreSQL", beside, "x", time_beside_dbos(database, times))
    yield Budget("execute_and_wait over start -> end", 1.3, "x", lambda results: overhead_of_client(results, database))
    yield Budget(
        "HTTP calls of execute_and_wait",
        2,
        "",
        lambda results: results.alone[f"{OURS}, {database}"].per_session[WHOLE].calls,
    )
    yield Budget("idle: statements", 1, "/s", lambda results: results.alone[f"{OURS}, {database}"].idle.statements)
    yield Budget("idle: CPU", 0.5, "%", lambda results: 100 * results.alone[f"{OURS}, {database}"].cpu)
    yield Budget("10,000 long polls", 100, "MB", lambda results: memory_of_polls(results, database))
    yield Budget(
        "long polls: statements without a call",
        1,
        "/s",
        lambda results: results.polls[f"{OURS}, {database}"].statements,
    )
    yield Budget("waiting sessions: CPU", 2, "%", lambda results: 100 * results.waiting[f"{OURS}, {database}"].cpu)


def memory_of_session(results: Results, database: str) -> float:
    """Return the KB that one more waiting session takes."""
    return results.waiting[f"{OURS}, {database}"].bytes_each / KB


def start_to_end(latency: Latency) -> list[float]:
    return latency.start_to_end


def answer_to_end(latency: Latency) -> list[float]:
    return latency.answer_to_end


ONE_DATABASE = {
    SQLITE: [
        Budget("W1: CPU, other work made up for", 3.5, "ms", lambda results: quiet_cpu(results, SQLITE)),
        Budget("W1: CPU beside bare DBOS", 0.85, "x", lambda results: cpu_beside(results, DBOS, SQLITE)),  # 3.5 / 4.1
        Budget("W1: ended/s beside earlier", 2.8, "x", lambda one: ended_beside(one, EARLIER, SQLITE), at_least=True),
        Budget("waiting session", 2.6, "KB", lambda results: memory_of_session(results, SQLITE)),
    ],
    POSTGRESQL: [
        Budget("W1: CPU beside bare DBOS", 1.5, "x", lambda results: cpu_beside(results, DBOS, POSTGRESQL)),
        Budget("database CPU, 3 servers over 1", 1.1, "x", database_share),
        Budget("waiting session", 1.0, "KB", lambda results: memory_of_session(results, POSTGRESQL)),
    ],
}
BUDGETS = {database: [*of_database(database), *only] for database, only in ONE_DATABASE.items()}


def verdicts(results: Results) -> dict[str, list[Verdict]]:
    """Return all budgets by database, with their figures."""
    return {database: [judged(budget, results) for budget in budgets] for database, budgets in BUDGETS.items()}
