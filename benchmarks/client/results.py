"""The measured figures as they are written to JSON. Times are in seconds."""

from __future__ import annotations

import platform
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

PEERS = (
    *("urllib3", "msgspec", "aiohttp", "httpx", "requests", "pyreqwest"),
    *("elastic-transport", "openai", "azure-core", "airplanesdk", "opentelemetry-sdk"),
)


class Times(msgspec.Struct):
    """Wall time and CPU of one call, round by round."""

    wall: list[float] = []
    cpu: list[float] = []

    def add(self, wall: float, cpu: float) -> None:
        """Add those of a round."""
        self.wall.append(wall)
        self.cpu.append(cpu)


class Measured(msgspec.Struct):
    """Figures of a group of contenders; one of them is the reference."""

    reference: str
    times: dict[str, Times] = {}
    instructions: dict[str, float] = {}

    def ratios(self, kind: str, name: str) -> list[float]:
        """Return a contender's times over the reference's, round by round."""
        own, reference = (getattr(self.times[one], kind) for one in (name, self.reference))
        return [one / other for one, other in zip(own, reference, strict=True)]

    def ratio(self, kind: str, name: str) -> float:
        """Return the median of these ratios."""
        return statistics.median(self.ratios(kind, name))

    def spread(self, kind: str, name: str) -> tuple[float, float]:
        """Return the quartiles of these ratios."""
        ratios = self.ratios(kind, name)
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        return low, high

    def instruction_ratio(self, name: str) -> float | None:
        """Return a contender's instructions over the reference's, if they were counted."""
        return self.instructions[name] / self.instructions[self.reference] if self.instructions else None


class Results(msgspec.Struct):
    """All that was measured, with the versions that it was measured on."""

    python: str = platform.python_version()
    versions: dict[str, str] = {}
    groups: dict[str, Measured] = {}


def load(path: Path) -> Results:
    """Return the results in a file, none if there is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()


def save(results: Results, path: Path) -> None:
    """Write the results to a file."""
    results.python, results.versions = platform.python_version(), versions()
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rounded(results)), indent=1) + b"\n")


def rounded(results: Results) -> Results:
    """Shorten the figures to tenths of microseconds."""
    for group in results.groups.values():
        for times in group.times.values():
            times.wall[:] = [round(one, 7) for one in times.wall]
            times.cpu[:] = [round(one, 7) for one in times.cpu]
    return results


def versions() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
