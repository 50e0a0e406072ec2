"""Workers of this server that are free, so that a call can begin the root run that it starts or answers.

The begin is part of the call's transaction, and the worker executes the segment once that is committed. So neither the
begin is a transaction of its own, nor does the segment go through a queue. Without a free worker, it is due as always.
"""

from __future__ import annotations

import math
import time
from functools import partial

from ..engine.interface import Engine, Reservation
from ..execution.runner import Runner
from ..storage.records import Run


class FreeWorkers:
    """The workers of an engine, as far as the runner admits executions to them."""

    def __init__(self, engine: Engine, runner: Runner) -> None:
        self._engine = engine
        self._runner = runner

    def reserve(self, run_id: str) -> ReservedWorker | None:
        """Keep a worker free for a root run; None if it has to wait for one."""
        reservation = self._engine.reserve()
        if reservation is None:
            return None
        if not self._runner.admit_at_once(run_id):
            reservation.give_back()
            return None
        return ReservedWorker(run_id, reservation, self._runner)


class ReservedWorker:
    """A worker that is kept free for a root run, until it is used or given back."""

    def __init__(self, run_id: str, reservation: Reservation, runner: Runner) -> None:
        self._run_id = run_id
        self._reserved_at = time.monotonic()
        self._reservation = reservation
        self._runner = runner

    def execute(self, run: Run, *, is_new: bool = False) -> None:
        """Execute the segment that has been begun; its root run `is_new` if it was added after the reservation."""
        added_at = self._reserved_at if is_new else -math.inf
        if not self._reservation.hand_over(run.job_id, partial(self._runner.execute, run, added_at=added_at)):
            self._runner.leave(run)

    def give_back(self) -> None:
        """Leave the worker to others."""
        self._runner.dismiss(self._run_id)
        self._reservation.give_back()
