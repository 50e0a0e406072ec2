"""The store in a database: its changes, upon its reads.

Every change takes the row of its root run first. So what it reads afterwards stays as it is until the change is
committed, and no two changes can wait for one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from ...models import SessionStatus
from ..errors import NotFound
from . import statements as sql
from .changes import note_change
from .deliveries import Announcer, add_deliveries, remove_deliveries
from .holds import refusal
from .ids import now
from .interface import (
    Answered,
    Decide,
    Store,
    answered,
    ended,
    running,
)
from .locked_roots import LockedRoots
from .prepared import change, fetch, first, later, scalar
from .records import (
    Outcome,
    Run,
    Session,
    Suspect,
)
from .rows import (
    ASKING_ROWS,
    LEAN_ROWS,
    PROMPT_ROWS,
    RUN_ROWS,
    SESSION_ROWS,
    to_microseconds,
)
from .sql_executions import SqlExecutions
from .sql_idempotency import SqlKeys, forget_calls
from .sql_reads import SqlReads, load_run
from .transactions import OpenTransaction, Transactor, reading, writing
from .transitions import (
    AT_REST,
    LEASE,
    beginning,
    cancel_children,
    change_run,
    end_locked,
    is_leased,
    leave_cancelling,
    lock_root,
    move_session,
    select_lean,
    session_status,
    wake,
)
from .uploads import SqlUploads, delete_unused, uploads_of

T = TypeVar("T")

_BATCH = 200  # ended root runs that are dropped at a time


class SqlStore(SqlReads, SqlExecutions):
    """A Store in a database, which it does not close. All methods raise DatabaseUnavailable.

    Attributes:
        may_take_over: Returns True if what has a lapsed lease may be begun by others than its owner.
    """

    def __init__(
        self,
        database: Transactor,
        keys: SqlKeys | None = None,
        roots: LockedRoots | None = None,
        announcer: Announcer | None = None,
        may_take_over: Callable[[], bool] = lambda: True,
    ) -> None:
        self.database = database
        self.keys = keys or SqlKeys(database)
        self.uploads = SqlUploads(database)
        self.roots = roots
        self.announcer = announcer
        self.may_take_over = may_take_over

    def transact(self, work: Callable[[Store], T]) -> T:
        """Make one transaction of all that `work` does with the store it is called with, its keys included."""

        def joined(connection: Connection) -> T:
            roots = LockedRoots(connection)
            transaction = OpenTransaction(connection, roots.settle)
            keys = self.keys.within(transaction)
            result = work(SqlStore(transaction, keys, roots, self.announcer, self.may_take_over))
            roots.settle()
            return result

        return self.database.transact(joined)

    @writing
    def add(self, connection: Connection, run: Run, session: Session | None = None) -> bool:
        """Keep a new root run, Queued and due, and its Pending session; False if a run of this ID is there already."""
        if not change(connection, sql.ADD_RUN, RUN_ROWS.row(replace(run, due_at=now()))):
            return False
        note_change(connection, run.id)  # another server may have to begin it
        if session is not None:
            later(connection, sql.ADD_SESSION, SESSION_ROWS.row(session))
        return True

    @writing
    def add_begun(self, connection: Connection, run: Run, session: Session | None = None) -> Run | None:
        """Keep a new root run and its session as `add` and `begin` would leave them, and return the root run."""
        begun = replace(run, **beginning(run))
        if not change(connection, sql.ADD_RUN, RUN_ROWS.row(begun)):
            return None
        if session is not None:
            later(connection, sql.ADD_SESSION, SESSION_ROWS.row(replace(session, status=SessionStatus.ACTIVE)))
        return begun

    @writing
    def begin(
        self, connection: Connection, run_id: str, segment: int, *, alone: bool = True, over: int | None = None
    ) -> Run | Suspect | None:
        """Make a root run and its session Active, with a new fencing token; None if this segment must not run."""
        run = lock_root(connection, sql.LOCK_RUN, run_id)
        if run is None or run.segment != segment or (run.fencing_token != over and self._has_owner(run)):
            return None
        status = leave_cancelling(connection, run)
        if run.status.is_terminal or run.held is not None or status is SessionStatus.WAITING:
            return None
        if run.failed_starts and not alone:
            return Suspect()
        move_session(connection, run, SessionStatus.ACTIVE)
        change_run(connection, run, **beginning(run))
        return load_run(connection, run_id)

    def _has_owner(self, run: Run) -> bool:
        return is_leased(run) or (run.leased and not self.may_take_over())

    @writing
    def renew(self, connection: Connection, fencing_tokens: Mapping[str, int]) -> None:
        """Renew the leases of those root runs that have these fencing tokens."""
        values = {"until": to_microseconds(now() + LEASE), "tokens": list(fencing_tokens.items())}
        change(connection, sql.RENEW, values)

    @writing
    def end_leases(self, connection: Connection) -> None:
        """End all leases, so that what they are for is due: to be called by the only server, when it starts."""
        change(connection, sql.END_LEASES, {"moment": to_microseconds(now())})

    @writing
    def excuse(self, connection: Connection, runs: Sequence[Run]) -> None:
        """Take back that the beginnings of these root runs, as `begin` returned them, count as failed starts."""
        for run in runs:
            changes = {
                "key": run.id,
                "of_fencing_token": run.fencing_token,
                "counted": run.failed_starts,
                "failed_starts": run.failed_starts - 1,
            }
            later(connection, sql.EXCUSE, changes)

    @writing
    def answer(
        self,
        connection: Connection,
        prompt_id: str,
        decide: Decide,
        by: str | None,
        seed: str = "",
        *,
        begin: Callable[[Run], bool] = lambda _: False,
    ) -> Answered:
        """Submit or cancel a prompt as `decide` says, and make its Waiting session Active and due."""
        row = first(connection, sql.LOCK_PROMPT_WITH_ROOT, {"key": prompt_id})
        if row is None:
            raise NotFound("prompt_not_found", f"there is no prompt {prompt_id[:100]}")
        width = len(PROMPT_ROWS.columns)
        prompt, status, root = PROMPT_ROWS.read(row[:width]), row[width], ASKING_ROWS.read(row[width + 1 :])
        answer = decide(prompt, root)
        if not prompt.is_open:
            if seed and seed == prompt.answered_seed:
                return Answered(prompt, root)
            raise answered(prompt)
        if root.held is not None:
            raise refusal(root)
        note_change(connection, root.id)
        changes: dict[str, Any] = {"answered_by": by, "answered_seed": seed}
        if answer.values is None:
            changes["cancelled_at"] = now()
            end_locked(connection, prompt.run_id, Outcome.cancelled(), cancelled_by=by, ended_seed=seed)
        else:
            changes |= {"submitted_at": now(), "values": answer.values}
            end_locked(connection, prompt.run_id, Outcome.succeeded(answer.values, answer.sealed))
        later(connection, sql.CHANGE_PROMPT, {"key": prompt_id, **PROMPT_ROWS.write(changes)})
        begins = status == SessionStatus.WAITING and begin(root)
        root = wake(connection, root, status, begins=begins)
        return Answered(replace(prompt, **changes), root, load_run(connection, root.id) if begins else None)

    @writing
    def cancel(self, connection: Connection, run_id: str, by: str, seed: str = "") -> Run:
        """Cancel a run with the session it belongs to, and return the root run. Raises NotFound, Conflict."""
        root = lock_root(connection, sql.LOCK_ROOT_OF_RUN, run_id)
        run = select_lean(connection, sql.GET_LEAN_RUN, run_id)
        if root is None or run is None:
            raise NotFound("run_not_found", f"there is no run {run_id[:100]}")
        if not run.status.is_terminal:
            executing = session_status(connection, root) is SessionStatus.ACTIVE
            left = {} if executing else AT_REST  # a lease that lapses lets another server make it Cancelled
            end_locked(connection, root.id, Outcome.cancelled(), cancelled_by=by, ended_seed=seed, **left)
            cancel_children(connection, root, by, seed)
            move_session(connection, root, SessionStatus.CANCELLING if executing else SessionStatus.CANCELLED)
            if self.announcer is not None:
                add_deliveries(connection, self.announcer.session_ended(root, Outcome.cancelled(), by))
        elif not seed or seed != run.ended_seed:
            raise ended(run)
        return load_run(connection, root.id) or root

    @writing
    def let_go(self, connection: Connection, run_id: str, why: str) -> Run | None:
        """Let a root run go on that is held for this reason, and return it as it was; None if it is not."""
        root = lock_root(connection, sql.LOCK_RUN, run_id)
        if root is None or root.status.is_terminal or root.held != why:
            return None
        moment = now()
        longer = to_microseconds(moment) - to_microseconds(root.updated_at)  # since it was held
        later(connection, sql.EXTEND_PROMPTS, {"key": run_id, "longer": longer})
        changes: dict[str, Any] = {"held": None, "updated_at": moment}
        if session_status(connection, root) is not SessionStatus.WAITING:
            changes |= {"segment": root.segment + 1, "due_at": moment, "leased": False, "failed_starts": 0}
        change_run(connection, root, **changes)
        return root

    @writing
    def delete(self, connection: Connection, run_id: str) -> Run | None:
        """Delete a root run that has ended, with all that belongs to it, and return it; None if it is not there."""
        root = lock_root(connection, sql.LOCK_RUN, run_id)
        if root is None:
            return None
        if not root.status.is_terminal or root.due_at is not None:
            raise running()
        session_id = root.session_id or ""
        answers = fetch(connection, sql.SEEDS_OF_ANSWERS, {"key": run_id})
        seeds = {session_id.removeprefix("ses"), root.ended_seed, *(row[0] for row in answers)} - {""}
        forget_calls(connection, seeds, root.created_at.timestamp())
        if session_id:
            remove_deliveries(connection, session_id)
        upload_ids = uploads_of(connection, run_id)
        change(connection, sql.DELETE_RUNS, {"ids": [run_id]})
        delete_unused(connection, upload_ids)
        return root

    def drop(self, keep: int, before: datetime | None = None) -> Sequence[Run]:
        """Drop all but the `keep` root runs that ended last, and those that ended before then; return them."""
        moment = None if before is None else to_microseconds(before)
        return self._drop(keep, moment) if self._has_to_drop(keep, moment) else []

    @reading
    def _has_to_drop(self, connection: Connection, keep: int, before: int | None) -> bool:
        if first(connection, sql.NEWEST_TO_DROP, {"offset": keep}) is not None:
            return True
        earliest = None if before is None else scalar(connection, sql.FIRST_ENDED)
        return earliest is not None and earliest < before

    @writing
    def _drop(self, connection: Connection, keep: int, before: int | None) -> Sequence[Run]:
        newest = first(connection, sql.NEWEST_TO_DROP, {"offset": keep})
        dropped = []
        for seq, *row in fetch(connection, sql.LOCK_FIRST_ENDED, {"limit": _BATCH}):
            run = LEAN_ROWS.read(row)
            ended_at = to_microseconds(run.ended_at or run.updated_at)
            if (newest is None or (ended_at, seq) > tuple(newest)) and (before is None or ended_at >= before):
                break
            dropped.append(run)
            note_change(connection, run.id)
        if dropped:
            change(connection, sql.DELETE_RUNS, {"ids": [run.id for run in dropped]})
        return dropped
