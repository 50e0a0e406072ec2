"""The measured figures as they are written to JSON. Times are in microseconds."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

PEERS = (
    *("urllib3", "msgspec", "aiohttp", "httpx", "requests", "pyreqwest"),
    *("elastic-transport", "openai", "azure-core", "airplanesdk", "opentelemetry-sdk"),
)
NUMBERS = re.compile(r"\[\s+([-\d.e,\s]+?)\s+\]")


class Times(msgspec.Struct):
    """Wall time and CPU of one request, round by round."""

    wall: list[float] = []
    cpu: list[float] = []

    def add(self, wall: float, cpu: float) -> None:
        """Add those of a round, in seconds. Four digits are more than they are good for."""
        self.wall.append(float(f"{wall * 1e6:.4g}"))
        self.cpu.append(float(f"{cpu * 1e6:.4g}"))


class Garbage(msgspec.Struct):
    """Objects that each call leaves in cycles, and the bytes by which 10,000 calls let the process grow."""

    in_cycles: float
    growth: float


class Measured(msgspec.Struct):
    """Figures of a group of contenders; one of them is the reference.

    `floor` is one that is taken off the others: what a process costs that does nothing. `failed` says why some
    contenders have no figures.
    """

    reference: str
    floor: str = ""
    times: dict[str, Times] = {}
    instructions: dict[str, float] = {}
    failed: dict[str, str] = {}

    def rounds(self, kind: str, name: str) -> list[float]:
        """Return a contender's times, without the floor of the same round."""
        own: list[float] = getattr(self.times[name], kind)
        if not self.floor:
            return own
        return [one - floor for one, floor in zip(own, getattr(self.times[self.floor], kind), strict=True)]

    def typical(self, kind: str, name: str) -> float:
        """Return the median of a contender's times."""
        return statistics.median(self.rounds(kind, name))

    def ratios(self, kind: str, name: str, other: str = "") -> list[float]:
        """Return a contender's times over another's, by default the reference's, round by round."""
        own, others = self.rounds(kind, name), self.rounds(kind, other or self.reference)
        return [one / other for one, other in zip(own, others, strict=True)]

    def ratio(self, kind: str, name: str, other: str = "") -> float:
        """Return the median of these ratios; for instructions the ratio of the counts."""
        if kind == "instructions":
            return self.instructions[name] / self.instructions[other or self.reference]
        return statistics.median(self.ratios(kind, name, other))

    def difference(self, kind: str, name: str, other: str = "") -> float:
        """Return what a contender takes more than another, in microseconds: the median of the rounds."""
        own, others = self.rounds(kind, name), self.rounds(kind, other or self.reference)
        return statistics.median(one - other for one, other in zip(own, others, strict=True))

    def spread(self, kind: str, name: str) -> tuple[float, float]:
        """Return the quartiles of the ratios."""
        ratios = self.ratios(kind, name)
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        return low, high

    def per_second(self, name: str) -> float:
        """Return a contender's requests per second."""
        return 1e6 / self.typical("wall", name)


class Results(msgspec.Struct):
    """All that was measured, with the versions that it was measured on. Groups may be those of several runs."""

    day: str = ""
    commit: str = ""
    cores: int = 0
    python: str = ""
    versions: dict[str, str] = {}
    groups: dict[str, Measured] = {}
    garbage: dict[str, Garbage] = {}


def load(path: Path) -> Results:
    """Return the results in a file, none if there is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()


def save(results: Results, path: Path) -> None:
    """Write the results to a file, the times of a contender in one line."""
    text = msgspec.json.format(msgspec.json.encode(results), indent=1).decode()
    text = NUMBERS.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text)
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def describe_machine(results: Results, commit: str) -> None:
    """Note what the figures are measured on."""
    results.commit, results.cores = commit, os.cpu_count() or 0
    results.day = dt.datetime.now(dt.UTC).date().isoformat()
    results.python, results.versions = platform.python_version(), versions()


def versions() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
