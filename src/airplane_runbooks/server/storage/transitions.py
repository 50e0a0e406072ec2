"""Changes of state that several of a store's transactions make. Each has the row of its root run locked."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from ...models import RunStatus, SessionStatus
from . import statements as sql
from .changes import note_change
from .ids import now
from .prepared import change, first, later, scalar
from .records import Outcome, Run
from .rows import LEAN_ROWS, PROMPT_ROWS, RUN_ROWS, SESSION_ROWS

LEASE = timedelta(seconds=10)  # from the begin of a segment, and from each renewal
_SPREAD = 1 << 32  # of fencing tokens: their columns have 63 bits, so they last for thousands of millions of begins

# what ends the lease of a root run, or the time that it is due
AT_REST: Mapping[str, Any] = {"due_at": None, "leased": False}


def select_lean(connection: Connection, select: Any, key: str) -> Run | None:
    """Select a run without its payload, with or without a lock."""
    row = first(connection, select, {"key": key})
    return None if row is None else LEAN_ROWS.read(row)


def lock_root(connection: Connection, select: Any, key: str) -> Run | None:
    """Lock a root run in order to change it or what belongs to it, and note this change."""
    root = select_lean(connection, select, key)
    if root is not None:
        note_change(connection, root.id)
    return root


def change_run(connection: Connection, run: Run, **changes: Any) -> None:
    """Set columns of a run."""
    later(connection, sql.CHANGE_RUN, {"key": run.id, **RUN_ROWS.write(changes)})


def session_status(connection: Connection, run: Run) -> SessionStatus | None:
    """Return the status of the session of a root run, None for a task."""
    if run.session_id is None:
        return None
    status = scalar(connection, sql.SESSION_STATUS, {"key": run.session_id})
    return None if status is None else SessionStatus(status)


def move_session(connection: Connection, run: Run, status: SessionStatus) -> None:
    """Give the session of a root run another status."""
    if run.session_id is not None:
        changes = SESSION_ROWS.write({"status": status, "updated_at": now()})
        later(connection, sql.MOVE_SESSION, {"key": run.session_id, "other": changes["status"], **changes})


def wait_for_prompt(connection: Connection, run: Run) -> bool:
    """Make the session of a root run Waiting; False if it is not Active, or has no open prompt."""
    if run.session_id is None:
        return False
    changes = SESSION_ROWS.write({"status": SessionStatus.WAITING, "updated_at": now()})
    keys = {"key": run.session_id, "of_root": run.id, "active": SessionStatus.ACTIVE.value}
    return bool(change(connection, sql.WAIT_FOR_PROMPT, {**keys, **changes}))


def leave_cancelling(connection: Connection, run: Run) -> SessionStatus | None:
    """Make a session Cancelled that is Cancelling, for nothing of it executes any more; return its status."""
    status = session_status(connection, run)
    if status is not SessionStatus.CANCELLING:
        return status
    move_session(connection, run, SessionStatus.CANCELLED)
    change_run(connection, run, **AT_REST)
    return SessionStatus.CANCELLED


def wake(connection: Connection, root: Run, status: str | None, *, begins: bool) -> Run:
    """Let a root run go on after an answer: at once if its session waits, otherwise as soon as it would pause.

    If it `begins`, its next segment is not due but begun.
    """
    if status == SessionStatus.WAITING:
        move_session(connection, root, SessionStatus.ACTIVE)
        changes: dict[str, Any] = {"segment": root.segment + 1, "due_at": now(), "leased": False, "failed_starts": 0}
        if begins:
            changes |= beginning(replace(root, failed_starts=0))
    else:
        changes = {"answered_meanwhile": True, "failed_starts": 0}
    change_run(connection, root, **changes)
    return replace(root, **changes)


def _ending(outcome: Outcome, more: Mapping[str, Any]) -> dict[str, Any]:
    moment = now()
    return RUN_ROWS.write(
        {
            "status": outcome.status,
            "output": outcome.output,
            "failure": outcome.failure,
            "sealed_output": outcome.sealed_output,
            "held": None,
            "ended_at": moment,
            "updated_at": moment,
            **more,
        }
    )


def end_locked(connection: Connection, run_id: str, outcome: Outcome, **more: Any) -> None:
    """End a run that is known not to have ended."""
    later(connection, sql.CHANGE_UNENDED_RUN, {"key": run_id, **_ending(outcome, more)})


def end_run(connection: Connection, run_id: str, outcome: Outcome) -> bool:
    """End a run; False if it had ended before."""
    return bool(change(connection, sql.CHANGE_UNENDED_RUN, {"key": run_id, **_ending(outcome, {})}))


def add_ended(connection: Connection, run: Run, outcome: Outcome) -> bool:
    """Add the run of a step that has ended; False if it is there already, as after a commit that seemed to fail."""
    return bool(change(connection, sql.ADD_RUN, {**RUN_ROWS.row(run), **_ending(outcome, {})}))


def beginning(run: Run) -> dict[str, Any]:
    """Return what changes in a root run when its segment begins."""
    moment = now()
    changes: dict[str, Any] = {
        "due_at": moment + LEASE,
        "leased": True,
        "answered_meanwhile": False,
        "fencing_token": next_fencing_token(run.fencing_token),
        "failed_starts": run.failed_starts + 1,
    }
    if run.status is RunStatus.QUEUED:
        changes |= {"status": RunStatus.ACTIVE, "active_at": moment, "updated_at": moment}
    return changes


def is_executed(root: Run, fencing_token: int) -> bool:
    """Tell whether the run belongs to this fencing token, and has not been released since."""
    return root.fencing_token == fencing_token and not root.is_due


def is_leased(root: Run) -> bool:
    """Tell whether a server has the run to itself."""
    return root.leased and root.due_at is not None and root.due_at > now()


def renewal() -> Mapping[str, Any]:
    """Return what renews the lease of a root run."""
    return {"due_at": now() + LEASE}


def next_fencing_token(former: int) -> int:
    """Return a larger token. It differs from any other that was made from the same one, and lost with its begin."""
    return former + 1 + secrets.randbelow(_SPREAD)


def has_ended_so(connection: Connection, run_id: str, outcome: Outcome) -> bool:
    """Tell whether a worker's earlier try has ended the run, and not a cancellation."""
    run = select_lean(connection, sql.GET_LEAN_RUN, run_id)
    return run is not None and run.status is outcome.status and run.cancelled_by is None


def cancel_children(connection: Connection, root: Run, by: str | None, seed: str = "") -> None:
    """Cancel the open prompts and the unended steps of a root run."""
    if root.session_id is None:
        return
    ending = _ending(Outcome.cancelled(), {"cancelled_by": by, "ended_seed": seed})
    later(connection, sql.CHANGE_UNENDED_CHILDREN, {"key": root.id, **ending})
    changes = PROMPT_ROWS.write({"cancelled_at": now(), "answered_by": by, "answered_seed": seed})
    later(connection, sql.CHANGE_OPEN_PROMPTS, {"key": root.id, **changes})
