"""Root runs that a transaction has locked. Each is read once, however many changes the transaction makes to it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from . import statements as sql
from .prepared import later
from .records import Outcome, Run
from .rows import RUN_ROWS
from .transitions import add_ended, change_run, is_leased, renewal, select_lean


class LockedRoots:
    """The root runs that one transaction has locked, as they are by now.

    A lock lasts until the end of the transaction, so no other transaction can change them meanwhile.

    Attributes:
        connection: The connection of the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._runs: dict[str, Run] = {}
        self._root_ids: dict[str, str] = {}  # by child
        self._progressed: set[str] = set()  # whose failed starts are still to be reset
        self._new_step: Run | None = None  # that is still to be added

    def lock(self, run_id: str) -> Run | None:
        """Return a root run, locked."""
        return self._runs.get(run_id) or self._lock(sql.LOCK_RUN, run_id)

    def lock_root_of(self, run_id: str) -> Run | None:
        """Return the root run of a step or prompt, or of itself, locked."""
        return self._runs.get(self._root_ids.get(run_id, run_id)) or self._lock(sql.LOCK_ROOT_OF_RUN, run_id)

    def add_child(self, root: Run, run: Run) -> None:
        """Add the run of a step or prompt, at the latest before anything that depends on it."""
        self.write_step()
        self._new_step = run
        self._root_ids[run.id] = root.id

    def write_step(self) -> None:
        """Write a step that is still to be added."""
        if (run := self._new_step) is not None:
            self._new_step = None
            later(self.connection, sql.ADD_RUN, RUN_ROWS.row(run))

    def add_ended(self, run_id: str, outcome: Outcome) -> bool:
        """Add a step that is still to be added as one that has ended; False if it has been added."""
        run = self._new_step
        if run is None or run.id != run_id:
            return False
        self._new_step = None
        return add_ended(self.connection, run, outcome)

    def change(self, root: Run, **changes: Any) -> None:
        """Set columns of a root run."""
        changes = self.with_progress(root, changes)
        if changes:
            change_run(self.connection, root, **changes)

    def with_progress(self, root: Run, changes: dict[str, Any]) -> dict[str, Any]:
        """Return changes of a root run that are about to be made, together with what is left to be reset."""
        if root.id in self._progressed:
            self._progressed.discard(root.id)
            changes = {"failed_starts": 0, **changes}
        self._runs[root.id] = replace(self._runs[root.id], **changes)
        return changes

    def renew_lapsed(self, root: Run) -> None:
        """Renew the lease of a root run that its owner goes on with, if it has lapsed and nothing has taken it over."""
        if root.leased and not is_leased(root):
            self.change(root, **renewal())

    def note_progress(self, root: Run) -> None:
        """Reset the failed starts of a root run with its next change, or with `settle`."""
        if self._runs[root.id].failed_starts:
            self._progressed.add(root.id)

    def settle(self) -> None:
        """Write what is left, and forget all: others may change them in the same transaction from here on."""
        self.write_step()
        for run_id in list(self._progressed):
            self.change(self._runs[run_id])
        self._runs.clear()

    def _lock(self, select: Any, run_id: str) -> Run | None:
        root = select_lean(self.connection, select, run_id)
        if root is not None:
            self._runs[root.id] = root
            self._root_ids[run_id] = root.id
        return root
