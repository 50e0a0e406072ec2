"""Helpers that the cases share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from ....models import RunStatus, SessionStatus
from ...errors import ApiError
from ..interface import Answer, Decide, Store
from ..records import Outcome, Prompt, Run, RunKind, Session

DONE = Outcome.succeeded(b"1")
AGES_AGO = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC)


class Case:
    """Fixtures of a test: a store that is empty, and one in which a session asks a question."""

    @pytest.fixture
    def empty(self) -> Iterator[Store]:
        """Yield a store with nothing in it, and close it in the end. Every subclass overrides it."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, empty: Store) -> Store:
        """Return a store in which root run `r` of session `s` has opened prompt `p` in run `q`."""
        assert empty.add(new_run("r"), Session(id="s", run_id="r", runbook_id="b", name="B"))
        assert begin(empty, "r", 1).status is RunStatus.ACTIVE
        assert empty.add_child(new_run("q", RunKind.PROMPT, "r"), token(empty), new_prompt("p", "q"))
        return empty


def new_run(run_id: str, kind: RunKind = RunKind.RUNBOOK, root_id: str | None = None, **fields: Any) -> Run:
    """Return a run that no store has yet; of session `s`, unless `fields` say otherwise."""
    position = run_id if root_id else ""
    given: dict[str, Any] = {"session_id": "s", "position": position, "slug": "a", "env_slug": "prod", **fields}
    return Run(id=run_id, kind=kind, root_id=root_id, task_id="t", name="A", **given)


def new_prompt(prompt_id: str, run_id: str, root_id: str = "r", **fields: Any) -> Prompt:
    """Return a prompt that no store has yet."""
    return Prompt(id=prompt_id, run_id=run_id, root_id=root_id, description="?", **fields)


def add_root(store: Store, run_id: str) -> None:
    """Add a root run and its session, whose ID is that of the run with an `s` in front."""
    session_id = f"s{run_id}"
    session = Session(id=session_id, run_id=run_id, runbook_id="b", name="B")
    assert store.add(new_run(run_id, session_id=session_id), session)


def begin(store: Store, run_id: str, segment: int, *, alone: bool = True) -> Run:
    """Begin a segment that must be begun, even during a lease, and return its root run."""
    run = store.begin(run_id, segment, alone=alone, over=token(store, run_id))
    assert isinstance(run, Run)
    return run


def token(store: Store, run_id: str = "r") -> int:
    """Return the fencing token of a root run that must be there."""
    return load_run(store, run_id).fencing_token


def load_run(store: Store, run_id: str) -> Run:
    """Return a run that must be there."""
    run = store.run(run_id)
    assert run is not None
    return run


def load_prompt(store: Store, prompt_id: str) -> Prompt:
    """Return a prompt that must be there."""
    prompt = store.prompt(prompt_id)
    assert prompt is not None
    return prompt


def status(store: Store, session_id: str = "s") -> SessionStatus:
    """Return the status of a session that must be there."""
    session = store.session(session_id)
    assert session is not None
    return session.status


def answering(values: bytes | None, sealed: bytes | None = None) -> Decide:
    """Return a decision to answer any prompt with these values, None to cancel it."""
    return lambda _prompt, _root: Answer(values, sealed)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at once, each on a thread of its own, and return their results: of a refusal, its code."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Any]) -> Any:
        barrier.wait(10)
        try:
            return one()
        except ApiError as refused:
            return refused.code

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))
