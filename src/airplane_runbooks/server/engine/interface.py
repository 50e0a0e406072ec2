"""The interface of engines, which decide when, and on which thread or machine, a segment of a root run is executed.

An engine knows jobs and one callable, and nothing about runbooks. It may be told the same thing twice, and it may call
too often: the store knows whether there is anything to do, and it fences off a worker whose run another worker has
begun. All the same, an engine must not work on one job twice at the same time while both workers are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

BACKLOG = "backlog"  # the channel of jobs that have to wait for a worker of the server that was told of them


Work = Callable[[str], bool]
"""Function that works on one job until its end or a pause, and returns True if it must be called again at once.

If it raises, the engine calls it again after some seconds.
"""


class Reservation(Protocol):
    """A worker that is kept free for a job, which this server begins itself. It is handed over or given back, once."""

    def hand_over(self, job_id: str, execute: Callable[[], bool], /) -> bool:
        """Have the worker call `execute` in place of the first call for this job; False if the engine has been closed.

        `execute` returns and raises what `Work` does.
        """
        ...

    def give_back(self) -> None:
        """Leave the worker to other jobs."""
        ...


class Engine(Protocol):
    """An engine. All methods return at once, except `announced` and `close`."""

    def open(self, work: Work, look: Callable[[], object]) -> None:
        """Start, with the callable that works on jobs. `look` has `recover` called soon; it returns at once.

        Raises the errors of the database.
        """
        ...

    def reserve(self) -> Reservation | None:
        """Keep a worker of this server free; None if there is none, or if others are to have it first."""
        ...

    def start(self, job_id: str) -> None:
        """Work on the job of a new run. Raises Closing."""
        ...

    def wake(self, job_id: str) -> None:
        """Work on the job of a run that has paused, or is about to."""
        ...

    def cancel(self, job_id: str) -> None:
        """Work on a job again, since the store has cancelled its run."""
        ...

    @property
    def busy(self) -> int:
        """Number of workers that have work."""
        ...

    @property
    def has_room(self) -> bool:
        """True if a worker has nothing to do."""
        ...

    def recover(self, jobs: Sequence[str], *, more: bool = False, ages: Mapping[str, float] = ...) -> None:
        """Work on due jobs that got lost or have no worker, and on others that got stuck.

        The server calls it about once a second, and when there is reason to. It may be told of more jobs than it has
        room for. If there are `more` than it was told of, it calls `look` as soon as these have been taken. `ages` are
        the seconds for which jobs have been due.
        """
        ...

    @property
    def peers(self) -> Collection[str]:
        """IDs of the other living servers, as they were some seconds ago, if several can share the work."""
        ...

    def announced(self) -> Sequence[bytes]:
        """Return the catalogs of the other living servers, if several can share the work.

        Raises the errors of the database.
        """
        ...

    def close(self, timeout: float) -> None:
        """Take no more work and wait, at most `timeout` seconds, for running work. Idempotent."""
        ...
