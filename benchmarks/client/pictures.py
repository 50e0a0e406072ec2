"""The pictures of the results in the documentation. They show ratios, as figures differ from machine to machine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.charts import Bar, bar_chart

from .results import Measured, Results

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TITLES = {
    "plain": "one at a time",
    "tls": "over TLS",
    "spaced": "5 ms apart",
    "threads-16": "16 threads",
    "async-1": "async, one at a time",
    "async-32": "async, 32 in flight",
    "async-256": "async, 256 in flight",
}
SYNC, ASYNC = ("plain", "tls", "spaced", "threads-16"), ("async-1", "async-32", "async-256")


def draw(results: Results) -> None:
    """Write the pictures of what was measured."""
    for file, names, reference in (("client-cpu.svg", SYNC, "urllib3"), ("client-async-cpu.svg", ASYNC, "aiohttp")):
        groups = {TITLES[name]: bars(results.groups[name]) for name in names if name in results.groups}
        if groups:
            title = f"CPU of a call: multiples of bare {reference}"
            (IMAGES / file).write_text(bar_chart(title, "x", groups), encoding="utf-8")


def bars(measured: Measured) -> list[Bar]:
    """Return a bar for each contender, the shortest first."""
    found = {name: measured.ratio("cpu", name) for name in measured.times}
    looks = {measured.reference: 2}
    return [
        Bar(name, ratio, 0 if name.startswith("ours") else looks.get(name, 4))
        for name, ratio in sorted(found.items(), key=lambda item: item[1])
    ]
