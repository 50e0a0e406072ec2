"""History of a root run: its recorded steps and prompts by position."""

from __future__ import annotations

from collections.abc import Iterable

from ..storage.records import Run, RunKind


class History:
    """Recorded steps and prompts, and those among them that the runbook has not reached again."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = {run.position: run for run in runs}
        self._unreached = dict.fromkeys(self._runs)

    @property
    def is_empty(self) -> bool:
        """True if nothing was recorded before this execution."""
        return not self._runs

    @property
    def first_unreached(self) -> str | None:
        """Name of the first recorded step or prompt that the runbook has not reached; None if it has reached all."""
        return next((self._runs[position].name for position in self._unreached), None)

    def at(self, position: str) -> Run | None:
        """Return the step or prompt recorded at a position; None beyond the record."""
        return self._runs.get(position)

    def reach(self, run: Run) -> None:
        """Note that the runbook has reached a recorded step or prompt."""
        self._unreached.pop(run.position, None)


def describe_difference(run: Run, position: str, kind: RunKind, name: str) -> str | None:
    """Describe how a recorded step or prompt differs from the present one; None if they are the same."""
    if (run.kind, run.name) == (kind, name):
        return None
    return f"at position {position} it had {run.kind.value} {run.name!r} and now has {kind.value} {name!r}"
