"""The pictures of the results in the documentation. They show ratios, as figures differ from machine to machine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.charts import Bar, bar_chart

from .results import Measured, Results

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SYNC = {"plain": "one at a time", "tls": "over TLS", "spaced": "5 ms apart"}
ASYNC = {"async-1": "one at a time", "async-32": "32 in flight", "async-256": "256 in flight"}
DRAWN = {"client-cpu.svg": ("urllib3", SYNC), "client-async-cpu.svg": ("aiohttp", ASYNC)}


def pictures(results: Results) -> dict[str, str]:
    """Return the pictures of what was measured by the names of their files."""
    found = {}
    for file, (reference, titles) in DRAWN.items():
        groups = {title: bars(results.groups[name]) for name, title in titles.items() if name in results.groups}
        if groups:
            found[file] = bar_chart(f"CPU of a call: multiples of bare {reference}", "x", groups)
    return found


def draw(results: Results) -> None:
    """Write the pictures."""
    for name, picture in pictures(results).items():
        (IMAGES / name).write_text(picture, encoding="utf-8")


def bars(measured: Measured) -> list[Bar]:
    """Return a bar for each contender, the shortest first."""
    found = {name: measured.ratio("cpu", name) for name in measured.times}
    looks = {measured.reference: 2}
    return [
        Bar(name, ratio, 0 if name.startswith("ours") else looks.get(name, 4))
        for name, ratio in sorted(found.items(), key=lambda item: item[1])
    ]
