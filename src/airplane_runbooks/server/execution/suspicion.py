"""Finds out which execution kills its server, without holding the others to account for it.

All that a dead server had in its hands may have killed it. Such a suspect is begun again alone: no other execution of
this process that is as young as it, and none is begun until it has got further or has lasted for a while. If the server
dies again, it is known why; if it does not, the next one's turn has come. Only deaths during such a trial are counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..errors import Closing
from ..storage.records import Run

TRIAL = 15.0  # seconds from its beginning in which an execution is taken for the reason of its server's end


class Trials:
    """Lets executions begin, one of all suspects at a time. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._young: dict[str, float] = {}  # until when an execution without progress counts as young
        self._on_trial: Run | str | None = None
        self._cleared: list[Run] = []
        self._waiting = 0
        self._closed = False

    def enter(self, run_id: str, *, suspect: bool) -> Sequence[Run]:
        """Wait until an execution may begin; return those on trial that have lasted long enough meanwhile.

        Raises Closing after `close`.
        """
        with self._changed:
            self._waiting += suspect
            try:
                while not self._may_begin(suspect=suspect):
                    self._changed.wait(min(self._young.values()) - self._clock() if self._young else None)
            finally:
                self._waiting -= suspect
                self._changed.notify_all()
            self._young[run_id] = self._clock() + TRIAL
            if suspect:
                self._on_trial = run_id
            cleared, self._cleared = self._cleared, []
            return cleared

    def begun(self, run: Run) -> None:
        """Note as what an execution has begun."""
        with self._changed:
            if self._on_trial == run.id:
                self._on_trial = run

    def leave(self, run_id: str) -> None:
        """Note that an execution has got further, or has ended. Idempotent."""
        with self._changed:
            self._young.pop(run_id, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Let nothing begin any more. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _may_begin(self, *, suspect: bool) -> bool:
        if self._closed:
            raise Closing("closing", "the server is closing")
        self._grow_up()
        return not self._young if suspect else not self._waiting and not self._is_on_trial()

    def _is_on_trial(self) -> bool:
        one = self._on_trial
        return (one.id if isinstance(one, Run) else one) in self._young

    def _grow_up(self) -> None:
        moment = self._clock()
        for run_id in [run_id for run_id, until in self._young.items() if until <= moment]:
            del self._young[run_id]
            if isinstance(self._on_trial, Run) and self._on_trial.id == run_id:
                self._cleared.append(self._on_trial)
