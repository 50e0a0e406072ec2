"""Replay: hands out recorded results to a runbook that is executed again from its top, and records the new ones.

A runbook is executed again after every pause. Each step and prompt has a position. A step or prompt that is recorded at
its position is not done again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import msgspec

from ...models import Parameter, RunStatus
from ..authoring.calls import StepCall
from ..authoring.displays import Display
from ..authoring.errors import PromptCancelled, PromptExpired, StepFailed
from ..authoring.fields import shape
from ..authoring.questions import Question
from ..observers.emitter import Emitter
from ..secrets.masking import Secrets
from ..secrets.vault import Vault
from ..storage.encoding import decode
from ..storage.interface import Store
from ..storage.records import Run, RunKind
from .attempts import Attempts
from .branches import Branch, Branches
from .digests import Digests
from .execution import Execution
from .guard import as_server_failure
from .history import History, describe_difference
from .recorder import Recorder
from .sealing import SealedValues
from .signals import AwaitingPrompt, FirstSignal, ReplayMismatch, ServerStopping, SessionCancelled, Signal
from .step_logs import StepLog
from .upload_files import openable

_BRIEF = 60  # characters of a value in a message


class Replay:
    """Replays one execution. Safe for its threads.

    Attributes:
        execution: The execution.
        root: Its root run.
        branches: Its branches.
        attempts: Performs new steps.
        values: Encodes and reads values.
        open_upload: Returns an upload that can be opened.
        is_idle: True if the runbook was ended from outside, because it could only wait for humans.
        is_awaiting_prompt: True once any branch has come to an open prompt.
        step_count: Number of steps and prompts that all branches have come to.
    """

    def __init__(
        self,
        execution: Execution,
        *,
        store: Store,
        stopping: threading.Event,
        emitter: Emitter,
        vault: Vault,
        secrets: Secrets,
        on_progress: Callable[[], None],
    ) -> None:
        self.execution = execution
        self.root = root = execution.run
        self._stopping = stopping
        self._secrets = secrets
        self._first_signal = FirstSignal()
        self._digests = Digests(vault, root.id)
        self.open_upload = partial(openable, store)
        self.values = SealedValues(vault, secrets, self._first_signal.record)
        self._recorder = Recorder(
            root,
            store,
            execution.writes,
            execution.logs,
            vault=vault,
            secrets=secrets,
            values=self.values,
            first_signal=self._first_signal,
            emitter=emitter,
            on_progress=on_progress,
        )
        self.attempts = Attempts(root, self._recorder, self.values, self._first_signal, emitter, open_log=self.open_log)
        self.branches = Branches()
        self.history = History(()) if execution.is_new else self._recorder.history()
        self.is_idle = False
        self.is_awaiting_prompt = False
        self._ended: Signal | None = None
        self.step_count = 0

    @property
    def signal(self) -> Signal | None:
        """Signal that ends the execution of all branches; None as long as it may go on."""
        return self._first_signal.signal

    def end(self, *, idle: bool) -> None:
        """Refuse further steps: the runbook has ended, or is about to be ended because it is `idle`."""
        self.is_idle = idle
        self._ended = AwaitingPrompt()

    def open_log(self, run: Run) -> StepLog | None:
        """Begin the log of a step, or of a task; None if nothing is captured."""
        return self.execution.logs.open(run.id, self._secrets.mask)

    def interrupt(self) -> None:
        """End the execution at its next step."""
        self._first_signal.record(SessionCancelled())

    def as_server_failure(self) -> AbstractContextManager[None]:
        """Turn exceptions raised inside into ServerFailure, which ends the execution."""
        return as_server_failure(self._first_signal.record)

    def mismatch(self, message: str) -> Signal:
        """End the execution because the record does not fit, and return the signal to raise."""
        return self._first_signal.record(ReplayMismatch(self._secrets.mask(message)))

    def not_repeated(self, difference: str) -> Signal:
        """End the execution because the runbook did something else than before, and return the signal to raise."""
        return self.mismatch(f"the runbook did not repeat its recorded steps: {difference}")

    def step(self, branch: Branch, call: StepCall) -> Run:
        """Return the run of the branch's next step, recorded or new. Raises Signal."""
        name = self._secrets.mask(call.name)
        arguments = {self._secrets.mask(argument): value for argument, value in call.arguments.items()}
        position, run = self._next(branch, RunKind.STEP, name)
        if run is not None and run.status.is_terminal:
            self._compare(run, arguments, call.volatile)
            return run
        with self.as_server_failure():
            digests = self._digests.make(arguments, call.volatile)
        if run is None:
            return self._recorder.add_step(position, name, call, arguments, digests)
        return self._recorder.repeat_step(run, arguments, digests)

    def prompt(self, branch: Branch, question: Question) -> Run:
        """Return the run of the branch's next prompt, recorded or new. Raises Signal."""
        description = self._secrets.mask(question.description)
        position, run = self._next(branch, RunKind.PROMPT, description)
        fields = {parameter.slug: shape(parameter) for parameter in question.parameters}
        if run is None:
            with self.as_server_failure():
                digests = self._digests.make(fields)
            return self._recorder.add_prompt(position, description, question, digests)
        if run.status is RunStatus.SUCCEEDED:
            self._compare(run, fields)
        return run

    def show(self, branch: Branch, display: Display) -> None:
        """Record what the branch shows next, unless it is recorded. Raises Signal."""
        name = self._secrets.mask(display.name)
        position, run = self._next(branch, RunKind.DISPLAY, name)
        if run is None:
            self._recorder.add_display(position, name, display)

    def result(self, run: Run) -> Any:
        """Return the result of a step that has ended. Raises StepFailed."""
        if run.failure is not None:
            raise StepFailed(run.name, run.failure.kind, run.failure.message, run.id)
        return self.values.read(run)

    def answer(self, branch: Branch, run: Run, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
        """Return an answer in JSON. Raises PromptCancelled, and AwaitingPrompt if the prompt is open."""
        if run.status is RunStatus.CANCELLED:
            raise PromptExpired(run.name) if run.cancelled_by is None else PromptCancelled(run.name)
        if run.status is not RunStatus.SUCCEEDED:
            branch.signal = AwaitingPrompt()
            self.is_awaiting_prompt = True
            raise branch.signal
        values: dict[str, Any] = self.values.read(run)
        self._secrets.add(Secrets.of(parameters, values))
        return values

    def _next(self, branch: Branch, kind: RunKind, name: str) -> tuple[str, Run | None]:
        """Step forward; return the position and the run recorded there, None beyond the record."""
        if (signal := self.signal or branch.signal or self._ended) is not None:
            raise signal
        position = branch.next()
        self.step_count += 1
        run = self.history.at(position)
        if run is None:
            if self._stopping.is_set():
                raise self._first_signal.record(ServerStopping())
            return position, None
        if (difference := describe_difference(run, position, kind, name)) is not None:
            raise self.not_repeated(difference)
        self.history.reach(run)
        return position, run

    def _compare(self, run: Run, values: Mapping[str, Any], volatile: Collection[str] = ()) -> None:
        """Compare the values of a step or prompt that has ended with those recorded. Raises ReplayMismatch."""
        with self.as_server_failure():
            differing = self._digests.differing(run.digests, values, volatile)
        if not differing:
            return
        described = f"prompt {run.name!r} asked for other fields: {', '.join(differing)}"
        if run.kind is RunKind.STEP:
            then, now = decode(run.param_values), decode(self.values.shown(values))
            changes = (f"{name} was {_brief(then, was)} and is {_brief(now, name)}" for name, was in differing.items())
            described = f"step {run.name!r} had other arguments: {', '.join(changes)}"
        raise self.not_repeated(f"at position {run.position}, {described}")


def _brief(shown: Mapping[str, Any], name: str) -> str:
    """Return a masked value, cut to the length that tells values apart."""
    if name not in shown:
        return "a value that JSON cannot hold"
    written = msgspec.json.encode(shown[name]).decode()
    return written if len(written) <= _BRIEF else written[:_BRIEF] + "..."
