"""The store: sessions, runs and prompts, and every change of state that they can go through.

Each method is atomic: of two threads that race for one change exactly one wins, and no thread sees half of it. The
store is the truth; an engine only decides when to work on it, and may be told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from ...models import SessionStatus
from ..errors import Conflict
from .idempotency import Keys
from .log_lines import LogChunk
from .records import (
    Outcome,
    Prompt,
    Run,
    Session,
    SessionEntry,
    Suspect,
)
from .uploads import SqlUploads

T = TypeVar("T")

MAX_PAGE = 50


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a list, newest first: the bounds of the last update, both included, and the page of at most 50 items."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int = MAX_PAGE
    page: int = 0


class SessionQuery(Window, frozen=True, kw_only=True):
    """Filter of the list of sessions."""

    runbook_id: str | None = None
    status: SessionStatus | None = None


class EntryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Part of the sessions for a search, newest first: at most `limit` of those before a place, all by default."""

    runbook_id: str | None = None
    status: SessionStatus | None = None
    before: int | None = None
    limit: int = MAX_PAGE


class RunQuery(Window, frozen=True, kw_only=True):
    """Filter of the list of runs."""

    task_id: str | None = None
    task_slug: str | None = None
    session_id: str | None = None
    env_slug: str | None = None


def answered(prompt: Prompt) -> Conflict:
    """Refuse the answer to a prompt that has one."""
    done = "submitted" if prompt.cancelled_at is None else "cancelled"
    return Conflict("prompt_already_answered", f"the prompt has been {done} already")


def ended(run: Run) -> Conflict:
    """Refuse the cancellation of a run that has ended."""
    return Conflict("run_finished", f"the run has ended already: {run.status.value}")


def running() -> Conflict:
    """Refuse to delete a session that may still be executed."""
    return Conflict("session_running", "the session has not ended: cancel it first, and delete it once it has ended")


class Answer(msgspec.Struct, frozen=True):
    """Answer to a prompt: its values as JSON, secrets masked, and sealed in full if that hides any. None cancels it."""

    values: bytes | None = None
    sealed: bytes | None = None


class Answered(msgspec.Struct, frozen=True):
    """A prompt that has been answered, and its root run as it is afterwards, without the values it was started with.

    `begun` is the whole root run if the answer has begun its next segment.
    """

    prompt: Prompt
    root: Run
    begun: Run | None = None


CANCELLED = Answer()

Decide = Callable[[Prompt, Run], Answer]


class Store(Protocol):
    """A store. A root run is a run that engines schedule: of a runbook or of a task.

    A server that executes a root run writes with the fencing token that `begin` gave it. Once another server has begun
    the same root run, writes with the older token are refused, so two servers cannot both continue one session.

    A call that raises may have been carried out all the same, if the answer of the database got lost. So each may be
    repeated with the same arguments: it then returns the same, and changes nothing twice. Only `begin` is
    counted each time.
    """

    @property
    def keys(self) -> Keys:
        """The idempotency keys of the same database."""
        ...

    @property
    def uploads(self) -> SqlUploads:
        """The uploaded files of the same database."""
        ...

    def transact(self, work: Callable[[Store], T]) -> T:
        """Make one transaction of all that `work` does with the store it is called with, its keys included.

        If it raises, none of that is kept. It may be called again, after a deadlock or a lost connection, so it must
        change nothing but that store. Raises what `work` raises, and DatabaseUnavailable.
        """
        ...

    def add(self, run: Run, session: Session | None = None) -> bool:
        """Keep a new root run, Queued and due, and its Pending session; False if a run of this ID is there already."""
        ...

    def add_begun(self, run: Run, session: Session | None = None) -> Run | None:
        """Keep a new root run and its session as `add` and `begin` would leave them, and return the root run.

        None if a run of this ID is there already.
        """
        ...

    def begin(self, run_id: str, segment: int, *, alone: bool = True, over: int | None = None) -> Run | Suspect | None:
        """Make a root run and its session Active, with a new fencing token; None if this segment must not be executed.

        That is so if another segment has become due since, if its session is Waiting, or if it is held or has ended. It
        is also so while the lease of another begin lasts, unless that had the fencing token `over`, known to be over. A
        session that is Cancelling becomes Cancelled, since nothing of it executes any more. Nothing is begun, and
        Suspect returned, if it is not to be begun `alone`, but was begun before without getting any further.

        A begin gives a lease of some seconds. If that is not renewed in time, the root run is due for others. Until one
        of them begins it, the fencing token stays valid, and the begin or end of a step with it renews the lease.
        """
        ...

    def renew(self, fencing_tokens: Mapping[str, int]) -> None:
        """Renew the leases of those root runs that have these fencing tokens."""
        ...

    def end_leases(self) -> None:
        """End all leases, so that what they are for is due: to be called by the only server, when it starts."""
        ...

    def excuse(self, runs: Sequence[Run]) -> None:
        """Take back that the beginnings of these root runs, as `begin` returned them, count as failed starts.

        Does nothing to those that have got further, or whose fencing token is stale.
        """
        ...

    def pause(self, run_id: str, fencing_token: int, spent: int | None = None) -> bool:
        """Make a root run's session Waiting; True if instead the segment goes on at once. Keep what it has `spent`.

        That is so if one of its prompts has been answered since it was begun, and if its session has been cancelled. It
        keeps its lease then, and is to be begun again with this token as `over`. A stale fencing token changes nothing
        and does not go on, nor does a root run that has paused or is due already.
        """
        ...

    def release(self, run_id: str, fencing_token: int, spent: int | None = None) -> None:
        """Leave a root run to others: the rest of its segment is due, as a segment of its own. Keep what it `spent`.

        For those who stop before its next pause; does nothing if it has ended, has paused or is due already, or if the
        fencing token is stale. A session that is Cancelling becomes Cancelled. With this token, only steps may still be
        finished.
        """
        ...

    def hold(self, run_id: str, fencing_token: int, why: str) -> None:
        """Hold a root run instead of releasing it, and make its session Pending; does nothing where `release` does.

        Nothing of it is executed, answered or expired until it is let go.
        """
        ...

    def held(self, why: str | None, limit: int) -> Sequence[Run]:
        """Return root runs that are held for this reason, or for any if it is None."""
        ...

    def let_go(self, run_id: str, why: str) -> Run | None:
        """Let a root run go on that is held for this reason, and return it as it was; None if it is not.

        It is due, unless its session is Waiting. Its open prompts are given the time for which it was held.
        """
        ...

    def finish(self, run_id: str, outcome: Outcome, fencing_token: int) -> bool:
        """End a run, and with a root run its session; False if it had ended before or the fencing token is stale.

        Said of a run that has ended in the same way already, it is True and changes nothing. The end of a session
        cancels what is left of its runs and prompts. One that is Cancelling ends Cancelled. The end of a step resets
        its root run's `failed_starts`.
        """
        ...

    def gone(self, fencing_tokens: Mapping[str, int]) -> Collection[str]:
        """Return the IDs of those root runs that have ended or been begun again since they had these fencing tokens."""
        ...

    def history(self, run_id: str) -> Sequence[Run]:
        """Return the runs of a root run's steps and prompts in the order of their start."""
        ...

    def outline(self, run_id: str) -> Sequence[Run]:
        """Return what `history` does without what the runs hold: values, output, failure."""
        ...

    def brief(self, run_ids: Sequence[str]) -> Sequence[Run]:
        """Return these runs in any order, without what is too long for a list (`rows.LONGEST_LISTED`)."""
        ...

    def add_child(self, run: Run, fencing_token: int, prompt: Prompt | None = None) -> bool:
        """Keep the run of a step or prompt, Active; False if the session was cancelled or the fencing token is stale.

        Resets the root run's `failed_starts` if it is a prompt's.
        """
        ...

    def attempt(self, run: Run, fencing_token: int) -> bool:
        """Note which attempt of a step begins, with what, and how those before it failed.

        False if the step has ended or the fencing token is stale.
        """
        ...

    def add_lines(self, chunk: LogChunk, fencing_token: int) -> bool:
        """Keep lines of the log of a step or task.

        False if the session was cancelled, in which case they are kept, or if the fencing token is stale.
        """
        ...

    def answer(
        self,
        prompt_id: str,
        decide: Decide,
        by: str | None,
        seed: str = "",
        *,
        begin: Callable[[Run], bool] = lambda _: False,
    ) -> Answered:
        """Submit or cancel a prompt as `decide` says, and make its Waiting session Active and due.

        If the session is Waiting, `begin` is called with its root run, and tells if the next segment is to be begun in
        the same transaction.

        `decide` is called with the prompt and its root run, which stay as they are until the answer is kept. Raises
        what `decide` raises, and changes nothing then. `by` is None if the prompt has expired. Raises NotFound, Held,
        and Conflict if it has been answered before, save by a call with the same seed, which changes nothing.
        """
        ...

    def cancel(self, run_id: str, by: str, seed: str = "") -> Run:
        """Cancel a run with the session it belongs to, and return the root run.

        Raises NotFound, and Conflict if it has ended before, save by a call with the same seed, which changes nothing.
        """
        ...

    def due(self, before: datetime, limit: int) -> Sequence[Run]:
        """Return root runs that have been due since before then, those that have waited longest first.

        A lease that lapsed before then makes its root run due, too.
        """
        ...

    def next_chore(self) -> datetime | None:
        """Return the moment after which `due` or `overdue` return something, as things are; None if they never do.

        It may become an earlier one by a change that is published, and by a begin.
        """
        ...

    def overdue(self, moment: datetime, limit: int) -> Sequence[str]:
        """Return the IDs of open prompts that should have been answered before then, without those that are held."""
        ...

    def drop(self, keep: int, before: datetime | None = None) -> Sequence[Run]:
        """Drop all but the `keep` root runs that ended last, and those that ended before then; return them.

        All that belongs to them goes, too. At most some hundreds go at a time.
        """
        ...

    def delete(self, run_id: str) -> Run | None:
        """Delete a root run that has ended, and return it; None if it is not there.

        All that belongs to it and to its session goes, too: files that no other root run has, messages that wait to be
        sent, and the idempotency keys of the calls that started, answered and cancelled it. Raises Conflict if it may
        still be executed.
        """
        ...

    def session(self, session_id: str) -> Session | None:
        """Return a session."""
        ...

    def session_with_root(self, session_id: str) -> tuple[Session, Run, Sequence[str]] | None:
        """Return a session, its root run, and the sorted IDs of its open prompts.

        The root run is as `outline` would return it, but with its failure, and with its output unless that is too long
        for a list.
        """
        ...

    def run(self, run_id: str) -> Run | None:
        """Return a run."""
        ...

    def prompt(self, prompt_id: str) -> Prompt | None:
        """Return a prompt."""
        ...

    def sessions(self, query: SessionQuery) -> Sequence[Session]:
        """Return a page of sessions, newest first, without what is too long for a list."""
        ...

    def session_entries(self, query: EntryQuery) -> Sequence[SessionEntry]:
        """Return part of the sessions as a search reads them, newest first."""
        ...

    def runs(self, query: RunQuery) -> Sequence[Run]:
        """Return a page of runs, newest first, without what is too long for a list."""
        ...

    def prompt_with_session(self, prompt_id: str) -> tuple[Prompt, Session, Run] | None:
        """Return a prompt, its session, and the root run of both as `outline` would."""
        ...

    def prompts(self, *run_ids: str) -> Sequence[Prompt]:
        """Return the prompts of these runs, the newest of each run first."""
        ...

    def open_prompts(self, *root_ids: str) -> Sequence[Prompt]:
        """Return the open prompts of at most 200 root runs, newest first."""
        ...

    def log_chunks(self, run_id: str, since: int, limit: int) -> Sequence[LogChunk]:
        """Return the log of a run from the chunk of this time on, the oldest first."""
        ...

    def latest_log_chunks(self, root_id: str, limit: int) -> Sequence[LogChunk]:
        """Return the latest chunks of the logs of all steps of a root run, the oldest first."""
        ...
