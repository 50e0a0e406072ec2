"""The model of a store and of keys: dictionaries of immutable records under one lock."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from airplane_runbooks.models import RunStatus, SessionStatus
from airplane_runbooks.server.errors import NotFound
from airplane_runbooks.server.storage import transitions
from airplane_runbooks.server.storage.encoding import NULL
from airplane_runbooks.server.storage.holds import refusal
from airplane_runbooks.server.storage.idempotency import (
    LEASE,
    LIFETIME,
    Claim,
    StoredReply,
    busy,
    other_request,
)
from airplane_runbooks.server.storage.ids import new_seed, now
from airplane_runbooks.server.storage.interface import (
    Answered,
    Decide,
    EntryQuery,
    RunQuery,
    SessionQuery,
    Window,
    answered,
    ended,
    running,
)
from airplane_runbooks.server.storage.log_lines import LogChunk
from airplane_runbooks.server.storage.records import (
    LONGEST_SEARCHED,
    Outcome,
    Prompt,
    Run,
    Session,
    SessionEntry,
    Suspect,
)

T = TypeVar("T")
RecordT = TypeVar("RecordT", Session, Run)

_ENDS = {
    RunStatus.SUCCEEDED: SessionStatus.SUCCEEDED,
    RunStatus.FAILED: SessionStatus.FAILED,
    RunStatus.CANCELLED: SessionStatus.CANCELLED,
}


class NoUploads:
    """Uploaded files of a store that has none."""

    def drop(self, before: datetime) -> int:
        """Drop none."""
        del before
        return 0


class ModelStore:
    """A Store that lives and dies with the process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.keys = ModelKeys()
        self._sessions: dict[str, Session] = {}
        self._runs: dict[str, Run] = {}
        self._prompts: dict[str, Prompt] = {}
        self._children: dict[str, list[str]] = {}  # by root run
        self._raised: dict[str, list[str]] = {}  # prompts by run
        self._logs: dict[str, dict[int, LogChunk]] = {}  # by run and time
        self.uploads = NoUploads()

    def transact(self, work: Callable[[ModelStore], T]) -> T:
        """Make one transaction of all that `work` does with the store it is called with, its keys included."""
        with self._lock:
            tables = (
                self._sessions,
                self._runs,
                self._prompts,
                self._children,
                self._raised,
                self._logs,
                self.keys.entries,
            )
            before = [copy.deepcopy(table) for table in tables]
            try:
                return work(self)
            except BaseException:
                for table, kept in zip(tables, before, strict=True):
                    table.clear()
                    table.update(kept)
                raise

    def add(self, run: Run, session: Session | None = None) -> bool:
        """Keep a new root run, Queued and due, and its Pending session; False if a run of this ID is there already."""
        with self._lock:
            if run.id in self._runs:
                return False
            self._put(replace(run, due_at=now()))
            self._children[run.id] = []
            if session is not None:
                self._sessions[session.id] = session
            return True

    def add_begun(self, run: Run, session: Session | None = None) -> Run | None:
        """Keep a new root run and its session as `add` and `begin` would leave them, and return the root run."""
        with self._lock:
            return self.begin(run.id, run.segment) if self.add(run, session) else None

    def begin(self, run_id: str, segment: int, *, alone: bool = True, over: int | None = None) -> Run | Suspect | None:
        """Make a root run and its session Active, with a new fencing token; None if this segment must not run."""
        with self._lock:
            run = self._runs.get(run_id)
            if (
                run is None
                or run.segment != segment
                or (run.leased and run.due_at > now() and run.fencing_token != over)
            ):
                return None
            session = self._session_of(run)
            self._leave_cancelling(run, session)
            waits = session is not None and session.status is SessionStatus.WAITING
            if run.status.is_terminal or run.held is not None or waits:
                return None
            if run.failed_starts and not alone:
                return Suspect()
            if session is not None:
                self._move(session, SessionStatus.ACTIVE)
            if run.status is RunStatus.QUEUED:
                run = replace(run, status=RunStatus.ACTIVE, active_at=now(), updated_at=now())
            return self._put(
                replace(
                    run,
                    due_at=now() + transitions.LEASE,
                    leased=True,
                    answered_meanwhile=False,
                    fencing_token=transitions.next_fencing_token(run.fencing_token),
                    failed_starts=run.failed_starts + 1,
                )
            )

    def renew(self, fencing_tokens: Mapping[str, int]) -> None:
        """Renew the leases of those root runs that have these fencing tokens."""
        with self._lock:
            for run_id, fencing_token in fencing_tokens.items():
                run = self._runs.get(run_id)
                if run is not None and run.leased and run.fencing_token == fencing_token:
                    self._put(replace(run, due_at=now() + transitions.LEASE))

    def end_leases(self) -> None:
        """End all leases, so that what they are for is due."""
        with self._lock:
            for run in list(self._runs.values()):
                if run.leased:
                    self._put(replace(run, due_at=now(), leased=False))

    def excuse(self, runs: Sequence[Run]) -> None:
        """Take back that the beginnings of these root runs, as `begin` returned them, count as failed starts."""
        with self._lock:
            for begun in runs:
                run = self._runs.get(begun.id)
                if run is not None and (run.fencing_token, run.failed_starts) == (
                    begun.fencing_token,
                    begun.failed_starts,
                ):
                    self._put(replace(run, failed_starts=begun.failed_starts - 1))

    def pause(self, run_id: str, fencing_token: int, spent: int | None = None) -> bool:
        """Make a root run's session Waiting; True if instead the segment goes on at once."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or not self._is_executed(run, fencing_token):
                return False
            session = self._session_of(run)
            if session is not None and session.status is SessionStatus.WAITING:
                return False
            if spent is not None:
                run = self._put(replace(run, spent=spent))
            if session is None or session.status is not SessionStatus.ACTIVE:
                return True
            if run.answered_meanwhile or not self._open_prompts(run_id):
                return True
            self._move(session, SessionStatus.WAITING)
            self._put(replace(run, due_at=None, leased=False))
            return False

    def release(self, run_id: str, fencing_token: int, spent: int | None = None) -> None:
        """Leave a root run to others: what is left of its segment is due, as a segment of its own."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or not self._is_executed(run, fencing_token):
                return
            session = self._session_of(run)
            run = self._leave_cancelling(run, session)
            if not run.status.is_terminal and (session is None or session.status is not SessionStatus.WAITING):
                spent = run.spent if spent is None else spent
                due = {"segment": run.segment + 1, "due_at": now(), "leased": False}
                self._put(replace(run, **due, failed_starts=0, spent=spent))

    def hold(self, run_id: str, fencing_token: int, why: str) -> None:
        """Hold a root run back instead of releasing it, and make its session Pending."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or not self._is_executed(run, fencing_token):
                return
            session = self._session_of(run)
            run = self._leave_cancelling(run, session)
            if not run.status.is_terminal and (session is None or session.status is not SessionStatus.WAITING):
                self._put(replace(run, held=why, due_at=None, leased=False, failed_starts=0, updated_at=now()))
                if session is not None:
                    self._move(session, SessionStatus.PENDING)

    def held(self, why: str | None, limit: int) -> Sequence[Run]:
        """Return root runs that are held for this reason, or for any if it is None."""
        with self._lock:
            unfinished = (run for run in self._runs.values() if run.held is not None and not run.status.is_terminal)
            held = [run for run in unfinished if why in (None, run.held)]
            return [_lean(run) for run in held[:limit]]

    def let_go(self, run_id: str, why: str) -> Run | None:
        """Let a root run go on that is held for this reason, and return it as it was; None if it is not."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or run.status.is_terminal or run.held != why:
                return None
            moment = now()
            for prompt in self._open_prompts(run_id):
                if prompt.expires_at is not None:
                    later = prompt.expires_at + (moment - run.updated_at)
                    self._prompts[prompt.id] = replace(prompt, expires_at=later)
            session = self._session_of(run)
            changes = {"held": None, "updated_at": moment}
            if session is None or session.status is not SessionStatus.WAITING:
                changes |= {"segment": run.segment + 1, "due_at": moment, "leased": False, "failed_starts": 0}
            self._put(replace(run, **changes))
            return _lean(run)

    def finish(self, run_id: str, outcome: Outcome, fencing_token: int) -> bool:
        """End a run, and with a root run its session; False if it had ended before or the fencing token is stale."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or self._root_of(run).fencing_token != fencing_token or (run.root_id is None and run.is_due):
                return False
            session = self._session_of(run) if run.root_id is None else None
            if run.root_id is None:
                run = self._leave_cancelling(run, session)
            else:
                self._renew_lapsed(self._root_of(run))
            if run.status.is_terminal:
                return run.status is outcome.status and run.cancelled_by is None
            self._end(replace(run, due_at=None, leased=False), outcome)
            if session is not None:
                self._move(session, _ENDS[outcome.status])
                self._cancel_children(run.id, None)
            if run.root_id is not None:
                self._put(replace(self._root_of(run), failed_starts=0))
            return True

    def gone(self, fencing_tokens: Mapping[str, int]) -> Collection[str]:
        """Return the IDs of those root runs that have ended or been begun again since they had these fencing tokens."""
        with self._lock:
            runs = {run_id: self._runs.get(run_id) for run_id in fencing_tokens}
            return {
                run_id
                for run_id, run in runs.items()
                if run is None or run.ended_at is not None or run.fencing_token != fencing_tokens[run_id]
            }

    def history(self, run_id: str) -> Sequence[Run]:
        """Return the runs of a root run's steps and prompts in the order of their start."""
        with self._lock:
            return [self._runs[child] for child in self._children.get(run_id, ())]

    def outline(self, run_id: str) -> Sequence[Run]:
        """Return what `history` does: here, nothing is gained by leaving anything out."""
        return self.history(run_id)

    def brief(self, run_ids: Sequence[str]) -> Sequence[Run]:
        """Return these runs in any order."""
        with self._lock:
            return [self._runs[run_id] for run_id in run_ids if run_id in self._runs]

    def add_child(self, run: Run, fencing_token: int, prompt: Prompt | None = None) -> bool:
        """Keep the run of a step or prompt, Active; False if the session is cancelled or the fencing token is stale."""
        with self._lock:
            root = self._runs.get(run.root_id or "")
            if root is None or root.status is not RunStatus.ACTIVE or not self._is_executed(root, fencing_token):
                return False
            root = self._renew_lapsed(root)
            if run.id in self._runs:
                return True
            self._put(replace(run, status=RunStatus.ACTIVE, active_at=run.created_at))
            self._children[root.id].append(run.id)
            if prompt is not None:
                self._prompts[prompt.id] = prompt
                self._raised.setdefault(run.id, []).append(prompt.id)
                self._put(replace(root, failed_starts=0))
            return True

    def _renew_lapsed(self, root: Run) -> Run:
        is_lapsed = root.leased and root.due_at <= now()
        return self._put(replace(root, due_at=now() + transitions.LEASE)) if is_lapsed else root

    @staticmethod
    def _is_executed(root: Run, fencing_token: int) -> bool:
        return root.fencing_token == fencing_token and not root.is_due

    def attempt(self, run: Run, fencing_token: int) -> bool:
        """Note which attempt of a step begins, with what, and how those before it failed."""
        with self._lock:
            kept = self._runs.get(run.id)
            if kept is None or not self._is_executed(self._root_of(kept), fencing_token):
                return False
            self._renew_lapsed(self._root_of(kept))
            if kept.status.is_terminal:
                return False
            begun = {"attempt": run.attempt, "param_values": run.param_values, "digests": run.digests}
            self._put(replace(kept, **begun, earlier_failures=run.earlier_failures, updated_at=now()))
            return True

    def add_lines(self, chunk: LogChunk, fencing_token: int) -> bool:
        """Keep lines of the log of a step or task."""
        with self._lock:
            run = self._runs.get(chunk.run_id)
            root = run and self._root_of(run)
            if root is None or root.fencing_token != fencing_token:
                return False
            self._logs.setdefault(chunk.run_id, {}).setdefault(chunk.at, chunk)
            return root.status is RunStatus.ACTIVE and not root.is_due

    def log_chunks(self, run_id: str, since: int, limit: int) -> Sequence[LogChunk]:
        """Return the log of a run from the chunk of this time on, the oldest first."""
        with self._lock:
            found = [chunk for at, chunk in self._logs.get(run_id, {}).items() if at >= since]
            return sorted(found, key=lambda chunk: chunk.at)[:limit]

    def latest_log_chunks(self, root_id: str, limit: int) -> Sequence[LogChunk]:
        """Return the latest chunks of the logs of all steps of a root run, the oldest first."""
        with self._lock:
            found = [chunk for child in self._children.get(root_id, ()) for chunk in self._logs.get(child, {}).values()]
            return sorted(found, key=lambda chunk: chunk.at)[-limit:]

    def answer(
        self,
        prompt_id: str,
        decide: Decide,
        by: str | None,
        seed: str = "",
        *,
        begin: Callable[[Run], bool] = lambda _: False,
    ) -> Answered:
        """Submit or cancel a prompt as `decide` says, and make its Waiting session Active and due."""
        with self._lock:
            prompt = self._prompts.get(prompt_id)
            if prompt is None:
                raise NotFound("prompt_not_found", f"there is no prompt {prompt_id[:100]}")
            root = self._runs[prompt.root_id]
            answer = decide(prompt, _asking(root))
            if not prompt.is_open:
                if seed and seed == prompt.answered_seed:
                    return Answered(prompt, _asking(root))
                raise answered(prompt)
            if root.held is not None:
                raise refusal(root)
            session = self._session_of(root)
            if answer.values is None:
                prompt = self._cancel_prompt(prompt, by, seed)
            else:
                prompt = replace(prompt, values=answer.values, submitted_at=now(), answered_by=by, answered_seed=seed)
                self._end(self._runs[prompt.run_id], Outcome.succeeded(answer.values, answer.sealed))
            self._prompts[prompt_id] = prompt
            if session is not None and session.status is SessionStatus.WAITING:
                self._move(session, SessionStatus.ACTIVE)
                due = {"segment": root.segment + 1, "due_at": now(), "leased": False}
                begins = begin(_asking(root))
                root = self._put(replace(root, **due, failed_starts=0))
                if begins:
                    root = self.begin(root.id, root.segment)
                    return Answered(prompt, _asking(root), root)
            else:
                root = self._put(replace(root, answered_meanwhile=True, failed_starts=0))
            return Answered(prompt, _asking(root))

    def cancel(self, run_id: str, by: str, seed: str = "") -> Run:
        """Cancel a run with the session it belongs to, and return the root run. Raises NotFound, Conflict."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                raise NotFound("run_not_found", f"there is no run {run_id[:100]}")
            root = self._root_of(run)
            if run.status.is_terminal:
                if seed and seed == run.ended_seed:
                    return root
                raise ended(run)
            session = self._session_of(root)
            executing = session is not None and session.status is SessionStatus.ACTIVE
            if not executing:
                root = replace(root, due_at=None, leased=False)
            root = self._end(replace(root, ended_seed=seed), Outcome.cancelled(), by)
            self._cancel_children(root.id, by, seed)
            if session is not None:
                self._move(session, SessionStatus.CANCELLING if executing else SessionStatus.CANCELLED)
            return root

    def due(self, before: datetime, limit: int) -> Sequence[Run]:
        """Return root runs that have been due since before then, those that have waited longest first."""
        with self._lock:
            due = [run for run in self._runs.values() if run.due_at is not None and run.due_at < before]
            return [_lean(run) for run in sorted(due, key=lambda run: run.due_at or before)[:limit]]

    def next_chore(self) -> datetime | None:
        """Return the moment after which `due` or `overdue` return something, as things are; None if they never do."""
        with self._lock:
            due = [run.due_at for run in self._runs.values()]
            prompts = [one for one in self._prompts.values() if one.is_open and self._runs[one.root_id].held is None]
            late = [one.expires_at for one in prompts]
            return min((moment for moment in (*due, *late) if moment is not None), default=None)

    def overdue(self, moment: datetime, limit: int) -> Sequence[str]:
        """Return the IDs of open prompts that should have been answered before then."""
        with self._lock:
            late = [
                one
                for one in self._prompts.values()
                if one.is_open and (one.expires_at or moment) < moment and self._runs[one.root_id].held is None
            ]
            return [prompt.id for prompt in sorted(late, key=lambda one: one.expires_at or moment)[:limit]]

    def drop(self, keep: int, before: datetime | None = None) -> Sequence[Run]:
        """Drop all but the `keep` root runs that ended last, and those that ended before then; return them."""
        with self._lock:
            roots = (run for run in self._runs.values() if run.root_id is None and run.ended_at is not None)
            first_ended = sorted(roots, key=lambda run: run.ended_at or now())
            surplus = max(0, len(first_ended) - keep)
            late = [run for run in first_ended[surplus:] if before and run.ended_at and run.ended_at < before]
            dropped = first_ended[:surplus] + late
            for root in dropped:
                self._remove(root)
            return [_lean(run) for run in dropped]

    def delete(self, run_id: str) -> Run | None:
        """Delete a root run that has ended, with all that belongs to it, and return it; None if it is not there."""
        with self._lock:
            root = self._runs.get(run_id)
            if root is None:
                return None
            if not root.status.is_terminal or root.due_at is not None:
                raise running()
            self._remove(root)
            return _lean(root)

    def _remove(self, root: Run) -> None:
        for run_id in (*self._children.pop(root.id), root.id):
            run = self._runs.pop(run_id)
            self._sessions.pop(run.session_id or "", None)
            self._logs.pop(run_id, None)
            for prompt_id in self._raised.pop(run_id, ()):
                del self._prompts[prompt_id]

    def session(self, session_id: str) -> Session | None:
        """Return a session."""
        return self._sessions.get(session_id)

    def session_with_root(self, session_id: str) -> tuple[Session, Run, Sequence[str]] | None:
        """Return a session, its root run, and the IDs of its open prompts."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                return None
            prompts = [one.id for one in self._prompts.values() if one.root_id == session.run_id and one.is_open]
            root = self._runs[session.run_id]
            return session, replace(_lean(root), output=root.output, failure=root.failure), sorted(prompts)

    def run(self, run_id: str) -> Run | None:
        """Return a run."""
        return self._runs.get(run_id)

    def prompt(self, prompt_id: str) -> Prompt | None:
        """Return a prompt."""
        return self._prompts.get(prompt_id)

    def sessions(self, query: SessionQuery) -> Sequence[Session]:
        """Return a page of sessions, newest first."""
        with self._lock:
            newest_first = reversed(list(self._sessions.values()))
        wanted = (
            one
            for one in newest_first
            if query.runbook_id in (None, one.runbook_id) and query.status in (None, one.status)
        )
        return _page(wanted, query)

    def session_entries(self, query: EntryQuery) -> Sequence[SessionEntry]:
        """Return part of the sessions as a search reads them, newest first."""
        with self._lock:
            placed = list(enumerate(self._sessions.values(), start=1))
            return [
                SessionEntry(
                    place,
                    self._runs[one.run_id].env_slug,
                    one.id,
                    one.name,
                    one.runbook_id,
                    one.status,
                    one.created_by,
                    one.created_at,
                    one.param_values if len(one.param_values) <= LONGEST_SEARCHED else NULL,
                )
                for place, one in reversed(placed)
                if (query.before is None or place < query.before)
                and query.runbook_id in (None, one.runbook_id)
                and query.status in (None, one.status)
            ][: query.limit]

    def runs(self, query: RunQuery) -> Sequence[Run]:
        """Return a page of runs, newest first."""
        with self._lock:
            newest_first = reversed(list(self._runs.values()))
        return _page(filter(_run_filter(query), newest_first), query)

    def prompt_with_session(self, prompt_id: str) -> tuple[Prompt, Session, Run] | None:
        """Return a prompt, its session, and the root run of both."""
        with self._lock:
            prompt = self._prompts.get(prompt_id)
            if prompt is None:
                return None
            root = self._runs[prompt.root_id]
            return prompt, self._sessions[root.session_id or ""], _lean(root)

    def prompts(self, *run_ids: str) -> Sequence[Prompt]:
        """Return the prompts of these runs, the newest of each run first."""
        with self._lock:
            return [self._prompts[one] for run_id in run_ids for one in reversed(self._raised.get(run_id, ()))]

    def open_prompts(self, *root_ids: str) -> Sequence[Prompt]:
        """Return the open prompts of these root runs, newest first."""
        with self._lock:
            return [one for one in reversed(self._prompts.values()) if one.root_id in root_ids and one.is_open]

    def _session_of(self, run: Run) -> Session | None:
        return None if run.session_id is None else self._sessions.get(run.session_id)

    def _root_of(self, run: Run) -> Run:
        return run if run.root_id is None else self._runs[run.root_id]

    def _move(self, session: Session, status: SessionStatus) -> None:
        if session.status is not status:
            self._sessions[session.id] = replace(session, status=status, updated_at=now())

    def _leave_cancelling(self, run: Run, session: Session | None) -> Run:
        if session is None or session.status is not SessionStatus.CANCELLING:
            return run
        self._move(session, SessionStatus.CANCELLED)
        return self._put(replace(run, due_at=None, leased=False))

    def _put(self, run: Run) -> Run:
        self._runs[run.id] = run
        return run

    def _end(self, run: Run, outcome: Outcome, by: str | None = None) -> Run:
        moment = now()
        return self._put(
            replace(
                run,
                status=outcome.status,
                output=outcome.output,
                failure=outcome.failure,
                sealed_output=outcome.sealed_output,
                ended_at=moment,
                updated_at=moment,
                cancelled_by=by,
                held=None,
            )
        )

    def _open_prompts(self, run_id: str) -> list[Prompt]:
        raised = (prompt_id for child in self._children[run_id] for prompt_id in self._raised.get(child, ()))
        return [prompt for prompt in map(self._prompts.__getitem__, raised) if prompt.is_open]

    def _cancel_children(self, run_id: str, by: str | None, seed: str = "") -> None:
        for prompt in self._open_prompts(run_id):
            self._cancel_prompt(prompt, by, seed)
        for child in map(self._runs.__getitem__, self._children[run_id]):
            if not child.status.is_terminal:
                self._end(replace(child, ended_seed=seed), Outcome.cancelled(), by)

    def _cancel_prompt(self, prompt: Prompt, by: str | None, seed: str) -> Prompt:
        prompt = replace(prompt, cancelled_at=now(), answered_by=by, answered_seed=seed)
        self._prompts[prompt.id] = prompt
        self._end(replace(self._runs[prompt.run_id], ended_seed=seed), Outcome.cancelled(), by)
        return prompt


def _lean(run: Run, *kept: str) -> Run:
    fields = {"param_values", "params", "resources", "output", "failure", "sealed_values", "sealed_output"} - {*kept}
    blank = Run(id="", kind=run.kind, task_id="", slug="", name="", env_slug="")
    return replace(run, **{field: getattr(blank, field) for field in fields})


def _asking(run: Run) -> Run:
    return _lean(run, "params", "sealed_values")


def _run_filter(query: RunQuery) -> Callable[[Run], bool]:
    def wanted(run: Run) -> bool:
        return (
            query.task_id in (None, run.task_id)
            and query.task_slug in (None, run.slug)
            and query.session_id in (None, run.session_id)
            and query.env_slug in (None, run.env_slug)
        )

    return wanted


def _page(records: Iterable[RecordT], window: Window) -> list[RecordT]:
    since, until = window.since, window.until
    recent = (
        record
        for record in records
        if (since is None or record.updated_at >= since) and (until is None or record.updated_at <= until)
    )
    start = window.page * window.limit
    return list(islice(recent, start, start + window.limit))


class _Entry(msgspec.Struct):
    fingerprint: bytes
    seed: str
    since: float
    leased: float
    reply: StoredReply | None = None


class ModelKeys:
    """Keys that live and die with the process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.entries: dict[str, _Entry] = {}  # oldest first

    def claim(
        self, key: str, fingerprint: bytes, *, former_key: str = "", other_fingerprints: Collection[bytes] = ()
    ) -> Claim:
        """Take a key for a call. Raises KeyBusy, Conflict."""
        with self._lock:
            self._drop_expired()
            moment = self._clock()
            if former_key in self.entries:
                self.entries[key] = self.entries.pop(former_key)
            entry = self.entries.get(key)
            if entry is None:
                entry = self.entries[key] = _Entry(fingerprint, new_seed(), moment, moment)
                return Claim(entry.seed)
            if entry.fingerprint not in {fingerprint, *other_fingerprints}:
                raise other_request()
            if entry.reply is None:
                if abs(passed := moment - entry.leased) < LEASE:
                    raise busy(LEASE - passed)
                entry.leased = moment
            return Claim(entry.seed, entry.reply)

    def settle(self, key: str, reply: StoredReply) -> None:
        """Keep the reply for the rest of the key's hour."""
        with self._lock:
            self.entries[key].reply = reply

    def _drop_expired(self) -> None:
        # a call that outlives the hour keeps its claim, and the younger ones behind it stay a little longer
        latest = self._clock() - LIFETIME
        while self.entries:
            key, entry = next(iter(self.entries.items()))
            if entry.since > latest or entry.reply is None:
                return
            del self.entries[key]
