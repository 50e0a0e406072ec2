"""Simulates deployments of 1 to 64 servers on PostgreSQL, with the costs that the benchmark of the server measured.

`python -m benchmarks.scaling` prints a table and draws the picture of the documentation; `nox -s bench_server` measures
the costs. What is simulated is only as good as the model: see `benchmarks/scaling/model.py` and the page on scaling.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.charts import line_chart
from benchmarks.server import results
from benchmarks.server.__main__ import MEASURED
from benchmarks.server.pictures import IMAGES

from .costs import measured
from .model import Costs, Deployment, Outcome, bounds, simulate

SERVERS = (1, 2, 4, 8, 16, 32, 64)
DATABASES = {
    "1 database, 4 cores": (1, 4),
    "1 database, 16 cores": (1, 16),
    "4 databases, 16 cores": (4, 16),
}
BUSY = 0.7  # share of the capacity at which the latency is looked at
SESSIONS = 200  # for each server, but at least LEAST
LEAST = 2000


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--measured", type=Path, default=MEASURED, help="results of the benchmark (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    costs = measured(results.load(options.measured))
    curves = {
        name: [(servers, simulated(servers, place, costs, options.seed)) for servers in SERVERS]
        for name, place in DATABASES.items()
    }
    print("\n".join(table(costs, curves)))
    (IMAGES / "scaling.svg").write_text(picture(curves), encoding="utf-8")


def simulated(servers: int, place: tuple[int, int], costs: Costs, seed: int) -> tuple[Outcome, Outcome]:
    """Return the outcome of a deployment that is kept busy, and of the same at a part of that rate."""
    deployment = Deployment(servers, databases=min(place[0], servers), database_cores=place[1])
    sessions = max(LEAST, SESSIONS * servers)
    full = simulate(deployment, costs, None, sessions, seed)
    return full, simulate(deployment, costs, BUSY * full.ended, sessions, seed)


Curves = Mapping[str, list[tuple[int, tuple[Outcome, Outcome]]]]


def table(costs: Costs, curves: Curves) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield (
        f"Measured: a session of one step takes {1000 * costs.server_cpu:.1f} ms of a server's core, "
        f"{1000 * costs.database_cpu:.1f} ms of the database's, and {costs.commits} commits of "
        f"{1000 * costs.flush:.1f} ms; an idle server {100 * costs.idle_database_cpu:.2f} % of a core of the database."
    )
    yield ""
    yield "| servers | " + " | ".join(curves) + " |"
    yield "|---:" * (1 + len(curves)) + "|"
    for row, servers in enumerate(SERVERS):
        cells = (cell(*points[row][1]) for points in curves.values())
        yield f"| {servers} | " + " | ".join(cells) + " |"
    yield ""
    for name, (count, cores) in DATABASES.items():
        most = bounds(Deployment(SERVERS[-1], cores, count), costs)
        yield f"{name}: at most {most['databases']:.0f} sessions/s with {SERVERS[-1]} servers"


def cell(full: Outcome, partly: Outcome) -> str:
    """Write the rate of a busy deployment, and its latency at a part of that."""
    return f"{full.ended:,.0f} /s, {1000 * partly.p50:.0f} / {1000 * partly.p99:.0f} ms"


def picture(curves: Curves) -> str:
    """Draw the rates."""
    series = {name: [(servers, full.ended) for servers, (full, _) in points] for name, points in curves.items()}
    return line_chart("Simulated: sessions of one step on PostgreSQL", ("servers", "sessions/s"), series)


if __name__ == "__main__":
    main()
