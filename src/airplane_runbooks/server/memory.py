"""The store in memory: dictionaries of immutable records under one lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from ..models import RunStatus, SessionStatus
from .errors import Conflict, NotFound
from .ids import now
from .records import Outcome, Prompt, Run, Session
from .store import RunQuery, SessionQuery, Window

RecordT = TypeVar("RecordT", Session, Run)

_ENDS = {
    RunStatus.SUCCEEDED: SessionStatus.SUCCEEDED,
    RunStatus.FAILED: SessionStatus.FAILED,
    RunStatus.CANCELLED: SessionStatus.CANCELLED,
}


class MemoryStore:
    """A Store that lives and dies with the process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._sessions: dict[str, Session] = {}
        self._runs: dict[str, Run] = {}
        self._prompts: dict[str, Prompt] = {}
        self._children: dict[str, list[str]] = {}  # by parent
        self._raised: dict[str, list[str]] = {}  # prompts by run
        self._ended: deque[str] = deque()  # parents, in the order of their end

    def add(self, run: Run, session: Session | None = None) -> None:
        """Keep a new parent, Queued, and its Pending session."""
        with self._lock:
            self._runs[run.id] = run
            self._children[run.id] = []
            if session is not None:
                self._sessions[session.id] = session

    def begin(self, run_id: str) -> Run | None:
        """Make a parent Active, and its session too; None if there is nothing to do."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return None
            session = self._session_of(run)
            if session is not None and session.status is SessionStatus.CANCELLING:
                self._move(session, SessionStatus.CANCELLED)
            if run.status.is_terminal:
                return None
            if session is not None:
                self._move(session, SessionStatus.ACTIVE)
            if run.status is RunStatus.QUEUED:
                run = self._put(replace(run, status=RunStatus.ACTIVE, active_at=now(), updated_at=now()))
            return run

    def pause(self, run_id: str) -> bool:
        """Make a parent's session Waiting; False if its prompt has been answered or the session cancelled meanwhile."""
        with self._lock:
            run = self._runs.get(run_id)
            session = None if run is None else self._session_of(run)
            if session is None or session.status is not SessionStatus.ACTIVE or not self._open_prompts(run_id):
                return False
            self._move(session, SessionStatus.WAITING)
            return True

    def finish(self, run_id: str, outcome: Outcome) -> bool:
        """End a run, and with a parent its session; False if it had ended before."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return False
            session = self._session_of(run) if run.parent_id is None else None
            if session is not None and session.status is SessionStatus.CANCELLING:
                self._move(session, SessionStatus.CANCELLED)
            if run.status.is_terminal:
                return False
            self._end(run, outcome)
            if session is not None:
                self._move(session, _ENDS[outcome.status])
                self._cancel_children(run.id, None)
            return True

    def history(self, run_id: str) -> Sequence[Run]:
        """Return the runs of a parent's steps and prompts in the order of their start."""
        with self._lock:
            return [self._runs[child] for child in self._children.get(run_id, ())]

    def add_child(self, run: Run, prompt: Prompt | None = None) -> bool:
        """Keep the run of a step or prompt, Active; False if the session has been cancelled."""
        with self._lock:
            parent = self._runs.get(run.parent_id or "")
            if parent is None or parent.status is not RunStatus.ACTIVE:
                return False
            self._put(replace(run, status=RunStatus.ACTIVE, active_at=run.created_at))
            self._children[parent.id].append(run.id)
            if prompt is not None:
                self._prompts[prompt.id] = prompt
                self._raised.setdefault(run.id, []).append(prompt.id)
            return True

    def answer(self, prompt_id: str, values: bytes | None, by: str) -> Prompt:
        """Submit a prompt's values as JSON, or cancel it (None). Raises NotFound, Conflict."""
        with self._lock:
            prompt = self._prompts.get(prompt_id)
            if prompt is None:
                raise NotFound("prompt_not_found", f"there is no prompt {prompt_id[:100]}")
            if not prompt.is_open:
                done = "submitted" if prompt.cancelled_at is None else "cancelled"
                raise Conflict("prompt_already_answered", f"the prompt has been {done} already")
            if values is None:
                prompt = self._cancel_prompt(prompt, by)
            else:
                prompt = replace(prompt, values=values, submitted_at=now(), answered_by=by)
                self._end(self._runs[prompt.run_id], Outcome.succeeded(values))
            self._prompts[prompt_id] = prompt
            session = self._session_of(self._runs[prompt.run_id])
            if session is not None and session.status is SessionStatus.WAITING:
                self._move(session, SessionStatus.ACTIVE)
            return prompt

    def cancel(self, run_id: str, by: str) -> Run:
        """Cancel a run with the session it belongs to, and return the parent. Raises NotFound, Conflict."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                raise NotFound("run_not_found", f"there is no run {run_id[:100]}")
            if run.status.is_terminal:
                raise Conflict("run_finished", f"the run has ended already: {run.status.value}")
            parent = run if run.parent_id is None else self._runs[run.parent_id]
            parent = self._end(parent, Outcome.cancelled(), by)
            self._cancel_children(parent.id, by)
            session = self._session_of(parent)
            if session is not None:
                executing = session.status is SessionStatus.ACTIVE
                self._move(session, SessionStatus.CANCELLING if executing else SessionStatus.CANCELLED)
            return parent

    def expire(self, keep: int) -> Sequence[str]:
        """Drop all but the `keep` parents that ended last; return the IDs dropped."""
        with self._lock:
            dropped = [self._ended.popleft() for _ in range(len(self._ended) - keep)]
            for parent_id in dropped:
                for run_id in (*self._children.pop(parent_id), parent_id):
                    run = self._runs.pop(run_id)
                    self._sessions.pop(run.session_id or "", None)
                    for prompt_id in self._raised.pop(run_id, ()):
                        del self._prompts[prompt_id]
            return dropped

    def session(self, session_id: str) -> Session | None:
        """Return a session."""
        return self._sessions.get(session_id)

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
        wanted = (one for one in newest_first if query.runbook_id in (None, one.runbook_id))
        return _page(wanted, query)

    def runs(self, query: RunQuery) -> Sequence[Run]:
        """Return a page of runs, newest first."""
        with self._lock:
            newest_first = reversed(list(self._runs.values()))
        return _page(filter(_run_filter(query), newest_first), query)

    def prompts(self, run_id: str) -> Sequence[Prompt]:
        """Return the prompts of a run, newest first."""
        with self._lock:
            return [self._prompts[prompt_id] for prompt_id in reversed(self._raised.get(run_id, ()))]

    def _session_of(self, run: Run) -> Session | None:
        return None if run.session_id is None else self._sessions.get(run.session_id)

    def _move(self, session: Session, status: SessionStatus) -> None:
        if session.status is not status:
            self._sessions[session.id] = replace(session, status=status, updated_at=now())

    def _put(self, run: Run) -> Run:
        self._runs[run.id] = run
        return run

    def _end(self, run: Run, outcome: Outcome, by: str | None = None) -> Run:
        moment = now()
        if run.parent_id is None:
            self._ended.append(run.id)
        return self._put(
            replace(
                run,
                status=outcome.status,
                output=outcome.output,
                failure=outcome.failure,
                ended_at=moment,
                updated_at=moment,
                cancelled_by=by,
            )
        )

    def _open_prompts(self, run_id: str) -> list[Prompt]:
        raised = (prompt_id for child in self._children[run_id] for prompt_id in self._raised.get(child, ()))
        return [prompt for prompt in map(self._prompts.__getitem__, raised) if prompt.is_open]

    def _cancel_children(self, run_id: str, by: str | None) -> None:
        for prompt in self._open_prompts(run_id):
            self._cancel_prompt(prompt, by)
        for child in self._children[run_id]:
            if not self._runs[child].status.is_terminal:
                self._end(self._runs[child], Outcome.cancelled(), by)

    def _cancel_prompt(self, prompt: Prompt, by: str | None) -> Prompt:
        prompt = replace(prompt, cancelled_at=now(), answered_by=by)
        self._prompts[prompt.id] = prompt
        self._end(self._runs[prompt.run_id], Outcome.cancelled(), by)
        return prompt


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
