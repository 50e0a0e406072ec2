"""Changes by a server that executes root runs: each with a fencing token, several of them in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from ...models import RunStatus, SessionStatus
from . import statements as sql
from .changes import note_change
from .deliveries import Announcer, add_deliveries
from .ids import now
from .locked_roots import LockedRoots
from .log_lines import LogChunk, encode_lines
from .prepared import change, later
from .records import Outcome, Prompt, Run
from .rows import PROMPT_ROWS, RUN_ROWS
from .transactions import Transactor
from .transitions import (
    AT_REST,
    cancel_children,
    end_locked,
    end_run,
    has_ended_so,
    is_executed,
    leave_cancelling,
    move_session,
    session_status,
    wait_for_prompt,
)

P = ParamSpec("P")
T = TypeVar("T")

_ENDS = {
    RunStatus.SUCCEEDED: SessionStatus.SUCCEEDED,
    RunStatus.FAILED: SessionStatus.FAILED,
    RunStatus.CANCELLED: SessionStatus.CANCELLED,
}


def _executing(
    method: Callable[Concatenate[SqlExecutions, LockedRoots, P], T],
) -> Callable[Concatenate[SqlExecutions, P], T]:
    """Give a method the root runs that its transaction has locked, which is one of its own if none is open."""

    @wraps(method)
    def call(store: SqlExecutions, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if store.roots is not None:
            return method(store, store.roots, *args, **kwargs)

        def alone(connection: Connection) -> T:
            roots = LockedRoots(connection)
            result = method(store, roots, *args, **kwargs)
            roots.settle()
            return result

        return store.database.transact(alone)

    return call


class SqlExecutions:
    """Changes of a store in a database by those who execute root runs. All methods raise DatabaseUnavailable.

    Attributes:
        database: The database, or an open transaction in it.
        roots: The root runs that the open transaction has locked; None in a database.
        announcer: Makes the deliveries of opened prompts and ended sessions; None if there is no one to tell.
    """

    database: Transactor
    roots: LockedRoots | None
    announcer: Announcer | None

    @_executing
    def add_child(self, roots: LockedRoots, run: Run, fencing_token: int, prompt: Prompt | None = None) -> bool:
        """Keep the run of a step or prompt, Active; False if the session is cancelled or the fencing token is stale."""
        root = roots.lock(run.root_id or "")
        if root is None or root.status is not RunStatus.ACTIVE or not is_executed(root, fencing_token):
            return False
        roots.renew_lapsed(root)
        active = replace(run, status=RunStatus.ACTIVE, active_at=run.created_at)
        roots.add_child(root, active)
        if prompt is not None:  # a new step has no readers yet
            note_change(roots.connection, root.id)
            roots.write_step()
            later(roots.connection, sql.ADD_PROMPT, PROMPT_ROWS.row(prompt))
            roots.note_progress(root)
            if self.announcer is not None:
                add_deliveries(roots.connection, self.announcer.prompt_opened(root, prompt))
        return True

    @_executing
    def attempt(self, roots: LockedRoots, run: Run, fencing_token: int) -> bool:
        """Note which attempt of a step begins, with what, and how those before it failed."""
        root = roots.lock_root_of(run.id)
        if root is None or not is_executed(root, fencing_token):
            return False
        roots.renew_lapsed(root)
        roots.write_step()
        note_change(roots.connection, run.id)
        begun = {"attempt": run.attempt, "param_values": run.param_values, "digests": run.digests}
        changes = RUN_ROWS.write({**begun, "earlier_failures": run.earlier_failures, "updated_at": now()})
        return bool(change(roots.connection, sql.CHANGE_UNENDED_RUN, {"key": run.id, **changes}))

    @_executing
    def finish(self, roots: LockedRoots, run_id: str, outcome: Outcome, fencing_token: int) -> bool:
        """End a run, and with a root run its session; False if it had ended before or the fencing token is stale."""
        root = roots.lock_root_of(run_id)
        if root is None or root.fencing_token != fencing_token:
            return False
        note_change(roots.connection, run_id)  # if it is a step's, nothing else changes
        if root.id == run_id:
            return not root.is_due and self._finish_root(roots, root, outcome)
        roots.renew_lapsed(root)
        if not (roots.add_ended(run_id, outcome) or end_run(roots.connection, run_id, outcome)):
            return has_ended_so(roots.connection, run_id, outcome)
        roots.note_progress(root)
        return True

    @_executing
    def add_lines(self, roots: LockedRoots, chunk: LogChunk, fencing_token: int) -> bool:
        """Keep lines of a run's log; False if its session was cancelled, or the fencing token is stale."""
        root = roots.lock_root_of(chunk.run_id)
        if root is None or root.fencing_token != fencing_token:
            return False
        roots.write_step()
        values = {"run_id": chunk.run_id, "at": chunk.at, "lines": encode_lines(chunk.lines)}
        later(roots.connection, sql.ADD_LOG_CHUNK, values)
        return root.status is RunStatus.ACTIVE and not root.is_due

    @_executing
    def pause(self, roots: LockedRoots, run_id: str, fencing_token: int, spent: int | None = None) -> bool:
        """Make a root run's session Waiting; True if instead the segment goes on at once."""
        run = roots.lock(run_id)
        if run is None or not is_executed(run, fencing_token):
            return False
        note_change(roots.connection, run.id)
        changes: dict[str, Any] = {} if spent is None else {"spent": spent}
        if not run.answered_meanwhile and wait_for_prompt(roots.connection, run):
            roots.change(run, **AT_REST, **changes)
            return False
        if session_status(roots.connection, run) is SessionStatus.WAITING:
            return False
        roots.change(run, **changes)
        return True

    @_executing
    def release(self, roots: LockedRoots, run_id: str, fencing_token: int, spent: int | None = None) -> None:
        """Leave a root run to others: what is left of its segment is due, as a segment of its own."""
        if (run := _lock_to_leave(roots, run_id, fencing_token)) is not None:
            kept = run.spent if spent is None else spent
            due = {"segment": run.segment + 1, "due_at": now(), "leased": False}
            roots.change(run, **due, failed_starts=0, spent=kept)

    @_executing
    def hold(self, roots: LockedRoots, run_id: str, fencing_token: int, why: str) -> None:
        """Hold a root run back instead of releasing it, and make its session Pending."""
        if (run := _lock_to_leave(roots, run_id, fencing_token)) is not None:
            roots.change(run, **AT_REST, held=why, failed_starts=0, updated_at=now())
            move_session(roots.connection, run, SessionStatus.PENDING)

    def _finish_root(self, roots: LockedRoots, root: Run, outcome: Outcome) -> bool:
        if root.status.is_terminal:
            leave_cancelling(roots.connection, root)
            return root.status is outcome.status and root.cancelled_by is None
        roots.write_step()
        end_locked(roots.connection, root.id, outcome, **roots.with_progress(root, dict(AT_REST)))
        move_session(roots.connection, root, _ENDS[outcome.status])
        cancel_children(roots.connection, root, None)
        if self.announcer is not None:
            add_deliveries(roots.connection, self.announcer.session_ended(root, outcome, None))
        roots.settle()
        return True


def _lock_to_leave(roots: LockedRoots, run_id: str, fencing_token: int) -> Run | None:
    """Return a root run that its server may leave, locked. A session that is Cancelling becomes Cancelled."""
    run = roots.lock(run_id)
    if run is None or not is_executed(run, fencing_token):
        return None
    note_change(roots.connection, run.id)
    status = leave_cancelling(roots.connection, run)
    return None if run.status.is_terminal or status is SessionStatus.WAITING else run
