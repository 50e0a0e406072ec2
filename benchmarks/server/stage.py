"""The stage of the benchmark: a PostgreSQL of its own, a folder on the disk, and the contenders that run there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from . import processes
from .contenders import BareDbos, Contender, Ours
from .statements import Counts, of_log, of_trace
from .statements import count as count_statements

T = TypeVar("T")
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
OURS, EARLIER, DBOS = "ours", "earlier", "bare DBOS"
SETTLED = 2.0  # seconds after which a server that was busy or has just started is idle


class Sizes(NamedTuple):
    """Sizes of the parts.

    Attributes:
        rounds: Rounds of bursts, fewer if they take too long, but at least two.
        burst: Sessions of a burst.
        singles: Sessions one at a time, of each contender.
        longest: Seconds after which a part begins no further round.
        idle: Seconds for which an idle server is looked at.
        waiting: Sessions that wait at a time.
        polls: Long polls that wait at a time.
    """

    rounds: int
    burst: int
    singles: int
    longest: float
    idle: float
    waiting: int
    polls: int

    def turns(self, rounds: int) -> Iterator[int]:
        """Yield the numbers of rounds, the first two and the further ones that begin in time."""
        end = time.monotonic() + self.longest
        for turn in range(rounds):
            if turn < 2 or time.monotonic() < end:
                yield turn


QUICK = Sizes(rounds=2, burst=20, singles=5, longest=10, idle=2, waiting=2500, polls=1000)
FULL = Sizes(rounds=4, burst=40, singles=100, longest=50, idle=8, waiting=5000, polls=4000)


class Cost(NamedTuple):
    """CPU seconds of the servers and of PostgreSQL."""

    servers: float
    database: float


class Stage:
    """Makes contenders on fresh databases, and measures what they cost."""

    def __init__(self, postgres: Any, folder: Path, against: Path | None) -> None:
        self.postgres = postgres
        self.folder = folder
        self.against = against
        self._numbers = count()

    def contenders(self, *, traced: bool = False) -> Iterator[Contender]:
        """Yield all contenders, not started yet."""
        for database in (SQLITE, POSTGRESQL):
            yield self.ours(database, traced=traced)
            if self.against is not None:
                yield self.ours(database, traced=traced, earlier=True)
            yield BareDbos(DBOS, database, *self._place(database), trace=self._trace(traced=traced))

    def ours(self, database: str, *, traced: bool = False, earlier: bool = False, servers: int = 1) -> Ours:
        """Return our server, or that of the earlier commit."""
        name, source = (EARLIER, self.against) if earlier else (OURS, None)
        trace = self._trace(traced=traced)
        return Ours(name, database, *self._place(database), source=source, trace=trace, servers=servers)

    def cost(self, contender: Contender) -> Cost:
        """Return the CPU seconds so far. Those of PostgreSQL are of all its databases."""
        database = processes.family_cpu(self.postgres.pid) if contender.database == POSTGRESQL else 0.0
        return Cost(sum(map(processes.cpu, contender.pids)), database)

    def measured(self, contender: Contender, work: Callable[[], T]) -> tuple[T, Cost]:
        """Work, and return the result and what it cost."""
        before = self.cost(contender)
        result = work()
        after = self.cost(contender)
        return result, Cost(after.servers - before.servers, after.database - before.database)

    def counter(self, contender: Contender) -> Callable[[], Counts]:
        """Return a function that counts what a traced contender has done since the last call, or the start."""
        assert contender.trace is not None
        name = contender.url.partition("?")[0].rpartition("/")[2]
        if contender.database == POSTGRESQL:
            self.postgres.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
        trace, log = _Tail(contender.trace), _Tail(self.postgres.log)

        def counted() -> Counts:
            time.sleep(0.3)  # until the last observers have reported
            return count_statements([*of_trace(trace.read()), *of_log(log.read(), name)])

        return counted

    def _place(self, database: str) -> tuple[str, Path]:
        path = self.folder / str(next(self._numbers))
        path.mkdir()
        return (self.postgres.fresh() if database == POSTGRESQL else f"sqlite:///{path}/runbooks.db"), path

    def _trace(self, *, traced: bool) -> Path | None:
        return self.folder / f"trace-{next(self._numbers)}" if traced else None


class _Tail:
    """Reads what is appended to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = path.stat().st_size if path.exists() else 0

    def read(self) -> str:
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            file.seek(self._seen)
            text = file.read()
        self._seen += len(text)
        return text.decode("utf-8", "replace")
