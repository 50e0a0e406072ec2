"""The part that the runtimes of plain and async runbooks share."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from ..authoring.calls import StepCall
from ..authoring.questions import Question
from ..errors import Invalid
from ..storage.records import Run
from .executions import cancelled
from .replay import Journal
from .threads import Ended
from .timeouts import OnThread


class BaseRuntime:
    """Finds or records the steps and prompts of one execution."""

    def __init__(self, journal: Journal, stopping: threading.Event) -> None:
        self.session_id = journal.root.session_id or ""
        self.run_id = journal.root.id
        self.env_slug = journal.root.env_slug
        self._journal = journal
        self._execution = journal.execution
        self._stopping = stopping

    @property
    def cancelled(self) -> bool:
        """True once the session is to end soon."""
        return cancelled() or self._execution.is_interrupted

    def _find_step(self, owner: object, call: StepCall) -> Run:
        return self._journal.step(self._journal.branch(owner), call)

    def _ask(self, owner: object, question: Question) -> dict[str, Any]:
        branch = self._journal.branch(owner)
        run = self._journal.prompt(branch, question)
        answer = self._journal.answer(branch, run, question.parameters)
        try:
            return question.read(answer)
        except Invalid as problem:  # it was checked against the fields that the prompt had then
            raise self._journal.mismatch(f"the answer to {run.name!r} does not fit: {problem}") from None

    def _begin(self, function: Callable[[], Any], name: str = "runbook-step") -> Future[Ended]:
        with self._journal.apart():  # threads may have run out
            return self._execution.begin(function, name)

    def _on_thread(
        self, call: StepCall, has_ended: Callable[[Future[Ended], float], Awaitable[bool]]
    ) -> OnThread | None:
        """Return the call of a plain function within its timeout; None if it has no timeout."""
        if call.timeout is None:
            return None
        return OnThread(call.timeout, lambda: self._begin(call.function), has_ended, self._execution.give_up)
