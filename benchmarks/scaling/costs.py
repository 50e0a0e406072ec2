"""The costs that the simulation takes from the results of the benchmark of the server."""

from __future__ import annotations

from benchmarks.server.disk import ONE_CLIENT
from benchmarks.server.figures import median
from benchmarks.server.results import Results
from benchmarks.server.stage import OURS, POSTGRESQL

from .model import Costs

NAME = f"{OURS}, {POSTGRESQL}"


def measured(results: Results) -> Costs:
    """Return the costs of W1 on PostgreSQL, as they would be without the other work on the machine.

    A commit of one client is a flush of the log and little else; the best round is the least disturbed.
    """
    slowdown = median(results.slowdown)
    load, alone = results.loads[NAME]["W1"], results.alone[NAME]
    return Costs(
        server_cpu=median(load.server_cpu) / slowdown,
        database_cpu=median(load.database_cpu) / slowdown,
        commits=max(2, round(alone.per_session["W1"].commits)),
        flush=1 / max(results.limits[ONE_CLIENT]),
        idle_database_cpu=alone.database_cpu / slowdown,
    )
