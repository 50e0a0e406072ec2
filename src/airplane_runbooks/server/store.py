"""The store: sessions, runs and prompts, and every change of state that they can go through.

Each method is atomic: two threads that race for one change find exactly one winner, and nobody sees half of it. What is
here is the truth; an engine only decides when to work on it, and may be told twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from .records import Outcome, Prompt, Run, Session

MAX_PAGE = 50


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a list, newest first: the bounds of the last update, both included, and the page of at most 50 items."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int = MAX_PAGE
    page: int = 0


class SessionQuery(Window, frozen=True, kw_only=True):
    """Which sessions to list."""

    runbook_id: str | None = None


class RunQuery(Window, frozen=True, kw_only=True):
    """Which runs to list."""

    task_id: str | None = None
    task_slug: str | None = None
    session_id: str | None = None
    env_slug: str | None = None


class Store(Protocol):
    """What the server needs of a store. A parent is a run that engines schedule: of a runbook or of a task."""

    def add(self, run: Run, session: Session | None = None) -> None:
        """Keep a new parent, Queued, and its Pending session."""
        ...

    def begin(self, run_id: str) -> Run | None:
        """Make a parent Active, and its session too; None if there is nothing to do.

        A session that is Cancelling becomes Cancelled instead, since nothing of it executes any more.
        """
        ...

    def pause(self, run_id: str) -> bool:
        """Make a parent's session Waiting; False if its prompt has been answered or the session cancelled meanwhile."""
        ...

    def finish(self, run_id: str, outcome: Outcome) -> bool:
        """End a run, and with a parent its session; False if it had ended before, in which case nothing changes.

        The end of a session cancels what is left of its runs and prompts. One that is Cancelling ends Cancelled.
        """
        ...

    def history(self, run_id: str) -> Sequence[Run]:
        """Return the runs of a parent's steps and prompts in the order of their start."""
        ...

    def add_child(self, run: Run, prompt: Prompt | None = None) -> bool:
        """Keep the run of a step or prompt, Active; False if the session has been cancelled."""
        ...

    def answer(self, prompt_id: str, values: bytes | None, by: str) -> Prompt:
        """Submit a prompt's values as JSON, or cancel it (None), and make its session Active.

        Raises NotFound, and Conflict if it has been answered before.
        """
        ...

    def cancel(self, run_id: str, by: str) -> Run:
        """Cancel a run with the session it belongs to, and return the parent. Raises NotFound, Conflict."""
        ...

    def expire(self, keep: int) -> Sequence[str]:
        """Drop all but the `keep` parents that ended last, with all that belongs to them; return the IDs dropped."""
        ...

    def session(self, session_id: str) -> Session | None:
        """Return a session."""
        ...

    def run(self, run_id: str) -> Run | None:
        """Return a run."""
        ...

    def prompt(self, prompt_id: str) -> Prompt | None:
        """Return a prompt."""
        ...

    def sessions(self, query: SessionQuery) -> Sequence[Session]:
        """Return a page of sessions, newest first."""
        ...

    def runs(self, query: RunQuery) -> Sequence[Run]:
        """Return a page of runs, newest first."""
        ...

    def prompts(self, run_id: str) -> Sequence[Prompt]:
        """Return the prompts of a run, newest first."""
        ...
