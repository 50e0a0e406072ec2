"""The measured figures as they are written to JSON. Times are in seconds, sizes in bytes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

from .statements import Counts

# sessions whose statements are counted, besides W1 and W2
STEPS = 5
FURTHER = f"W1 with {STEPS} further steps"
WHOLE = "execute_and_wait"


class Load(msgspec.Struct):
    """Bursts of one workload: a figure for each round, and the acknowledgements of all."""

    server_cpu: list[float] = []
    database_cpu: list[float] = []
    ended: list[float] = []
    acknowledged: list[float] = []

    @property
    def cpu(self) -> list[float]:
        """CPU per session, of the servers and the database, round by round."""
        return [sum(pair) for pair in zip(self.server_cpu, self.database_cpu, strict=True)]


class Latency(msgspec.Struct):
    """Sessions one at a time, with pauses between them."""

    acknowledged: list[float] = []
    start_to_end: list[float] = []
    start_to_ask: list[float] = []
    answer_to_end: list[float] = []
    execute_and_wait: list[float] = []


class Alone(msgspec.Struct):
    """A server that has the machine for itself, idle at first, then with one session at a time."""

    server_cpu: float
    database_cpu: float
    memory: int
    threads: int
    idle: Counts
    per_session: dict[str, Counts]

    @property
    def cpu(self) -> float:
        """Share of a core that the idle server and its database take."""
        return self.server_cpu + self.database_cpu


class Waiting(msgspec.Struct):
    """Sessions that all wait: bytes for each further one, and the share of a core that the server takes meanwhile."""

    sessions: int
    bytes_each: float
    cpu: float
    threads: int


class Polls(msgspec.Struct):
    """Long polls that all wait, each asked again as soon as it is answered. Figures but the first two are per second.

    Attributes:
        polls: Number of them.
        bytes_each: Memory for each further one.
        calls: Polls that were answered and asked again.
        statements: Statements beyond those of an idle server and one for each call.
        cpu: Share of a core.
    """

    polls: int
    bytes_each: float
    calls: float
    statements: float
    cpu: float


class Results(msgspec.Struct):
    """All parts of the benchmark; one that was not run is empty. Keys are the names of contenders."""

    commit: str = ""
    against: str | None = None
    cores: int = 0
    loads: dict[str, dict[str, Load]] = {}
    limits: dict[str, list[float]] = {}
    slowdown: list[float] = []  # of a computation by other work on the machine, round by round
    latencies: dict[str, Latency] = {}
    alone: dict[str, Alone] = {}
    waiting: dict[str, Waiting] = {}
    polls: dict[str, Polls] = {}
    servers: dict[int, Load] = {}  # on PostgreSQL, W1, by their number


def commit_of(checkout: Path) -> str:
    """Return the short name of a checkout's commit, with a plus if files have changed since."""
    described = ("git", "-C", str(checkout), "describe", "--always", "--dirty=+", "--exclude=*")
    return subprocess.run(described, capture_output=True, text=True, check=False).stdout.strip()


def load(path: Path) -> Results:
    """Return the results of earlier runs, so that a run of some parts replaces only these."""
    found = msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()
    found.cores = os.cpu_count() or 1
    return found


def save(results: Results, path: Path) -> None:
    """Write results, with as many digits as mean something."""
    rounded = msgspec.json.encode(_rounded(msgspec.to_builtins(results, str_keys=True)))
    path.write_bytes(msgspec.json.format(rounded, indent=1) + b"\n")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value
