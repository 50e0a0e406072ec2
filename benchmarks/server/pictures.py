"""The pictures of the results in the documentation. They show ratios, as figures differ from machine to machine."""

from __future__ import annotations

from benchmarks.charts import Bar, bar_chart

from .figures import median, ratio
from .processes import ROOT
from .results import Latency, Results
from .stage import DBOS, EARLIER, OURS, POSTGRESQL, SQLITE

IMAGES = ROOT / "docs" / "images"
LOOKS = {OURS: 0, EARLIER: 4, DBOS: 2}


def pictures(results: Results) -> dict[str, str]:
    """Return the pictures of what was measured by the names of their files."""
    found = {}
    if results.loads:
        found["server-cpu.svg"] = cpu(results)
    if results.latencies:
        found["server-latency.svg"] = latencies(results)
    return found


def draw(results: Results) -> None:
    """Write the pictures."""
    for name, picture in pictures(results).items():
        (IMAGES / name).write_text(picture, encoding="utf-8")


def cpu(results: Results) -> str:
    """Draw the CPU of a session over that of bare DBOS on the same database."""
    groups: dict[str, list[Bar]] = {}
    for database in (SQLITE, POSTGRESQL):
        for workload in ("W1", "W2"):
            reference = results.loads[f"{DBOS}, {database}"][workload].cpu
            groups[f"{workload}, {database}"] = [
                Bar(who, ratio(loads[workload].cpu, reference), look)
                for who, look in LOOKS.items()
                if (loads := results.loads.get(f"{who}, {database}"))
            ]
    return bar_chart("CPU of a session, of server and database: multiples of bare DBOS", "x", groups)


def latencies(results: Results) -> str:
    """Draw the median times of sessions one at a time over those of bare DBOS on the same database."""
    groups: dict[str, list[Bar]] = {}
    for database in (SQLITE, POSTGRESQL):
        reference = moments(results.latencies[f"{DBOS}, {database}"])
        for name, times in reference.items():
            groups[f"{name}, {database}"] = [
                Bar(who, median(moments(found)[name]) / median(times), look)
                for who, look in LOOKS.items()
                if (found := results.latencies.get(f"{who}, {database}"))
            ]
    return bar_chart("Sessions one at a time, median: multiples of bare DBOS", "x", groups)


def moments(latency: Latency) -> dict[str, list[float]]:
    """Return the times that the picture shows."""
    return {"start -> end": latency.start_to_end, "answer -> end": latency.answer_to_end}
