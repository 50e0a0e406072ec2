"""The part that the runtimes of plain and async runbooks share."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from ..authoring.calls import StepCall
from ..authoring.displays import Display
from ..authoring.questions import Question
from ..errors import Invalid
from ..storage.records import Run
from .call_results import CallResult
from .execution import cancelled
from .replay import Replay
from .timeouts import TimedThread


class BaseRuntime:
    """Finds or records the steps and prompts of one execution."""

    def __init__(self, replay: Replay, stopping: threading.Event) -> None:
        self.session_id = replay.root.session_id or ""
        self.run_id = replay.root.id
        self.env_slug = replay.root.env_slug
        self._replay = replay
        self._execution = replay.execution
        self._stopping = stopping

    @property
    def cancelled(self) -> bool:
        """True once the session is to end soon."""
        return cancelled() or self._execution.is_interrupted

    def _find_step(self, owner: object, call: StepCall) -> Run:
        return self._replay.step(self._replay.branches.current(owner), call)

    def _ask(self, owner: object, question: Question) -> Any:
        branch = self._replay.branches.current(owner)
        run = self._replay.prompt(branch, question)
        answer = self._replay.answer(branch, run, question.parameters)
        try:
            return question.read(answer, self._replay.open_upload)
        except Invalid as problem:  # it did fit the fields that the prompt had then
            raise self._replay.mismatch(
                f"the answer to {run.name!r} does not fit its fields any more: {problem}"
            ) from None

    def _show(self, owner: object, display: Display) -> None:
        self._replay.show(self._replay.branches.current(owner), display)

    def _start_thread(self, function: Callable[[], Any], name: str = "runbook-step") -> Future[CallResult]:
        with self._replay.as_server_failure():  # threads may have run out
            return self._execution.start_thread(function, name)

    def _timed_thread(
        self, call: StepCall, wait: Callable[[Future[CallResult], float], Awaitable[bool]]
    ) -> TimedThread | None:
        """Return the call of a plain function within its timeout; None if it has no timeout."""
        if call.timeout is None:
            return None
        return TimedThread(call.timeout, lambda: self._start_thread(call.function), wait, self._execution.abandon)
