"""The engine seam: what decides when, and on which thread or machine, a segment of a root run is executed.

An engine knows jobs and one callable, nothing of runbooks. It may be told the same thing twice, and it may call too
often: the store knows whether there is anything to do, and it fences off whoever executes what another one has begun
since. All the same, an engine must not work on one job twice at the same time while both workers are well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Work = Callable[[str], bool]


class Engine(Protocol):
    """What the server needs of an engine. All methods return at once, save `recover` and `close`."""

    def open(self, work: Work) -> None:
        """Take the callable that works on one job until the end or a pause, and returns whether to go on at once.

        If it raises, it is to be called again after some seconds.
        """
        ...

    def start(self, job_id: str) -> None:
        """Work on the job of a new run. Raises Closing."""
        ...

    def wake(self, job_id: str) -> None:
        """Work on the job of a run that has paused, or is about to."""
        ...

    def cancel(self, job_id: str) -> None:
        """Look at a job again, since the store has cancelled its run."""
        ...

    def forget(self, job_id: str) -> None:
        """Drop whatever is kept for a job of a run that has ended."""
        ...

    def recover(self, jobs: Sequence[str], here: Sequence[str] = ()) -> None:
        """Work on those of these due jobs that got lost, and on others that got stuck.

        Those that are to be worked on `here` have no business with other servers. To be called about once a second. May
        wait for a database, and raises what that raises.
        """
        ...

    def announced(self) -> Sequence[bytes]:
        """Return what the living servers say of themselves that share the work, if several can. Like `recover`."""
        ...

    def close(self, timeout: float) -> None:
        """Take no more work and wait, at most `timeout` seconds, for what is being worked on. Idempotent."""
        ...
