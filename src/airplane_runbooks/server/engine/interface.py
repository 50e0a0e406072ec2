"""The interface of engines, which decide when, and on which thread or machine, a segment of a root run is executed.

An engine knows jobs and one callable, and nothing about runbooks. It may be told the same thing twice, and it may call
too often: the store knows whether there is anything to do, and it fences off a worker whose run another worker has
begun. All the same, an engine must not work on one job twice at the same time while both workers are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Work(Protocol):
    """The callable that works on one job until its end or a pause."""

    def __call__(self, job_id: str, /, *, owner_is_gone: bool) -> bool:
        """Work on a job; return True if this must be called again at once.

        `owner_is_gone` tells that no living server works on the job, so that a lease which lasts need not be waited
        for. If it raises, the engine calls it again after some seconds.
        """
        ...


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
    """An engine. All methods return at once, except `recover` and `close`."""

    def open(self, work: Work) -> None:
        """Start, with the callable that works on jobs."""
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

    def forget(self, job_id: str) -> None:
        """Drop the data of a job whose run has ended."""
        ...

    def recover(self, jobs: Sequence[str], here: Sequence[str] = ()) -> None:
        """Work on due jobs that got lost, and on others that got stuck.

        The jobs of `here` are for this server only. The server calls it about once a second. It may wait for a
        database, and raises its errors.
        """
        ...

    def announced(self) -> Sequence[bytes]:
        """Return the catalogs of the other living servers, if several can share the work. Raises like `recover`."""
        ...

    def close(self, timeout: float) -> None:
        """Take no more work and wait, at most `timeout` seconds, for running work. Idempotent."""
        ...
