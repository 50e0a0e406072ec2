"""Admission of executions, which finds the one that kills its server without blaming the others.

After the death of a server, each execution that it had in progress is suspected. A suspect is begun alone: it is not
admitted beside other executions that are on probation, and no other is admitted until it has made progress or has
lasted for the probation period. If the server dies again, the culprit is known; otherwise the next suspect has its
turn. Only deaths during such a probation are counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..errors import Closing
from ..storage.records import Run

PROBATION = 15.0  # seconds from its start in which an execution may be the reason for the death of its server


class Admission:
    """Admits executions, one of all suspects at a time. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._probation_ends: dict[str, float] = {}
        self._suspect: Run | str | None = None
        self._cleared: list[Run] = []
        self._waiting_suspects = 0
        self._closed = False

    def admit(self, run_id: str, *, suspect: bool) -> Sequence[Run]:
        """Wait until an execution may begin; return the suspects that have lasted long enough meanwhile.

        Raises Closing after `close`.
        """
        with self._changed:
            self._waiting_suspects += suspect
            try:
                while not self._may_begin(suspect=suspect):
                    ends = self._probation_ends.values()
                    self._changed.wait(min(ends) - self._clock() if ends else None)
            finally:
                self._waiting_suspects -= suspect
                self._changed.notify_all()
            self._probation_ends[run_id] = self._clock() + PROBATION
            if suspect:
                self._suspect = run_id
            cleared, self._cleared = self._cleared, []
            return cleared

    def admit_at_once(self, run_id: str) -> bool:
        """Admit an execution that is not suspected; False if it would have to wait, or `admit` has news to tell."""
        with self._changed:
            if self._closed or not self._may_begin(suspect=False) or self._cleared:
                return False
            self._probation_ends[run_id] = self._clock() + PROBATION
            return True

    def started(self, run: Run) -> None:
        """Keep the record of a suspect that has been begun, to return it when it is cleared."""
        with self._changed:
            if self._suspect == run.id:
                self._suspect = run

    def end_probation(self, run_id: str) -> None:
        """End the probation of an execution that has made progress or has ended. Idempotent."""
        with self._changed:
            self._probation_ends.pop(run_id, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Admit no more executions. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _may_begin(self, *, suspect: bool) -> bool:
        if self._closed:
            raise Closing("closing", "the server is closing")
        self._end_probations()
        if suspect:
            return not self._probation_ends
        return not self._waiting_suspects and not self._has_suspect_on_probation()

    def _has_suspect_on_probation(self) -> bool:
        one = self._suspect
        return (one.id if isinstance(one, Run) else one) in self._probation_ends

    def _end_probations(self) -> None:
        moment = self._clock()
        for run_id in [run_id for run_id, end in self._probation_ends.items() if end <= moment]:
            del self._probation_ends[run_id]
            if isinstance(self._suspect, Run) and self._suspect.id == run_id:
                self._cleared.append(self._suspect)
