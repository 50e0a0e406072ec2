"""Records the steps and prompts of one execution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from ..authoring.calls import StepCall
from ..authoring.displays import Display
from ..authoring.questions import Question
from ..observers.emitter import Emitter
from ..secrets.masking import Secrets
from ..secrets.vault import Vault
from ..storage.encoding import EMPTY, encode
from ..storage.ids import new_id, now, stable_id
from ..storage.interface import Store
from ..storage.records import Outcome, Prompt, Run, RunKind
from .guard import guarded_store, retry_until_available
from .history import History
from .prompt_details import PromptDetails
from .sealing import SealedValues
from .signals import FirstSignal, ServerFailure, SessionCancelled
from .step_logs import StepLog, StepLogs
from .writes import DeferredWrites, Write


class Recorder:
    """Writes the steps and prompts of a root run into the store, each as late as it may be.

    A method that waits for the store may end the execution: with ServerFailure, or with SessionCancelled where the
    store refuses a write of an execution that was cancelled or replaced.
    """

    def __init__(
        self,
        root: Run,
        store: Store,
        writes: DeferredWrites,
        logs: StepLogs,
        *,
        vault: Vault,
        secrets: Secrets,
        values: SealedValues,
        first_signal: FirstSignal,
        emitter: Emitter,
        on_progress: Callable[[], None],
    ) -> None:
        self._root = root
        self._store = guarded_store(store, first_signal.record)
        self._writes = writes
        self._logs = logs
        self._vault = vault
        self._secrets = secrets
        self._values = values
        self._first_signal = first_signal
        self._emitter = emitter
        self._on_progress = on_progress

    def history(self) -> History:
        """Read the steps and prompts recorded so far."""
        return History(self._store.history(self._root.id))

    def add_step(self, position: str, name: str, call: StepCall, arguments: Mapping[str, Any], digests: bytes) -> Run:
        """Record the first attempt of a new step, and return its run."""
        run = self._child(RunKind.STEP, name, position, self._values.shown(arguments), digests)
        run = msgspec.structs.replace(run, task_id=call.task_id or run.task_id, timeout=call.timeout)
        self._add_begin(lambda store: store.add_child(run, self._root.fencing_token))
        return run

    def repeat_step(self, run: Run, arguments: Mapping[str, Any], digests: bytes) -> Run:
        """Record one more attempt of a step in which a server died, and return its run."""
        shown = self._values.shown(arguments)
        run = msgspec.structs.replace(run, attempt=run.attempt + 1, param_values=shown, digests=digests)
        self._add_attempt(run)
        return run

    async def begin(self, run: Run, wait: Callable[[float], Awaitable[bool]]) -> None:
        """Wait until nothing has to be durable before the function of a step is called.

        The begin itself has to be only after the death of a server, which it may have caused.
        """
        is_first = run.attempt == 1
        if not is_first or self._root.failed_starts > 1 or self._writes.come_first:
            await self._flush(wait)
        if is_first:
            self._emitter.child_added(self._root, run)

    async def begin_again(self, run: Run, wait: Callable[[float], Awaitable[bool]]) -> None:
        """Record that one more attempt of a step begins, and wait until that is durable."""
        self._logs.queue()
        self._add_attempt(run)
        await self._flush(wait)

    def keep_failures(self, run: Run) -> None:
        """Record how the attempts of a step have failed: the server may end before the next one begins."""
        self._add_attempt(run)

    def add_prompt(self, position: str, description: str, question: Question, digests: bytes) -> Run:
        """Record a new prompt, and return its run."""
        run = self._child(RunKind.PROMPT, description, position, EMPTY, digests)
        details = PromptDetails(question.parameters, question.reviewers)
        masked = details.masked(self._secrets)
        prompt = Prompt(
            id=new_id("pmt"),
            run_id=run.id,
            root_id=self._root.id,
            description=description,
            parameters=masked.parameters,
            reviewers=masked.reviewers,
            confirm_text=self._secrets.mask(question.confirm_text),
            cancel_text=self._secrets.mask(question.cancel_text),
            expires_at=None if question.expires_in is None else now() + question.expires_in,
            sealed=None if masked == details else self._vault.seal(encode(details)),
        )
        opened = partial(self._prompt_opened, run, prompt)
        self._writes.add(Write.of_result(lambda store: store.add_child(run, self._root.fencing_token, prompt), opened))
        return run

    def add_display(self, position: str, name: str, display: Display) -> None:
        """Record what a runbook shows, together with what follows."""
        run = self._child(RunKind.DISPLAY, name, position, EMPTY, None)
        outcome = Outcome.succeeded(self._values.masked(display.document))

        def add(store: Store) -> bool:
            token = self._root.fencing_token
            return store.add_child(run, token) and store.finish(run.id, outcome, token)

        self._add_begin(add)

    def finish(self, run: Run, outcome: Outcome, log: StepLog | None) -> None:
        """Record the end of a step, with the rest of its log.

        Raises SessionCancelled, so that the runbook does not go on after it.
        """

        def end(store: Store) -> bool:
            accepted = store.finish(run.id, outcome, self._root.fencing_token)
            if log is not None:
                log.write(store)
            return accepted

        self._writes.add(Write.of_result(end, partial(self._step_ended, run, outcome, log)))
        self._logs.end(run.id)
        if isinstance(signal := self._first_signal.signal, SessionCancelled):
            raise signal

    async def _flush(self, wait: Callable[[float], Awaitable[bool]]) -> None:
        """Write what is waiting, and try for long: a step whose end is not recorded would be executed again."""
        try:
            await retry_until_available(self._writes.flush, wait)
        except ServerFailure as failure:
            raise self._first_signal.record(failure) from failure.__cause__
        if (signal := self._first_signal.signal) is not None:
            raise signal

    def _add_attempt(self, run: Run) -> None:
        self._add_begin(lambda store: store.attempt(run, self._root.fencing_token))

    def _add_begin(self, apply: Callable[[Store], bool]) -> None:
        self._writes.add(Write.of_begin(apply, self._check))

    def _check(self, accepted: bool) -> None:  # noqa: FBT001 - the answer of the store
        if not accepted:
            self._first_signal.record(SessionCancelled())

    def _prompt_opened(self, run: Run, prompt: Prompt, accepted: bool) -> None:  # noqa: FBT001 - likewise
        self._check(accepted)
        if accepted:
            self._emitter.child_added(self._root, run, prompt)
            self._on_progress()

    def _step_ended(self, run: Run, outcome: Outcome, log: StepLog | None, accepted: bool) -> None:  # noqa: FBT001 - likewise
        if log is not None:
            log.written()
        self._check(accepted)
        if accepted:
            self._emitter.step_ended(self._root, run, outcome)
            self._on_progress()

    def _child(self, kind: RunKind, name: str, position: str, values: bytes, digests: bytes | None) -> Run:
        root = self._root
        return Run(
            id=new_id("run"),
            kind=kind,
            root_id=root.id,
            session_id=root.session_id,
            task_id=stable_id("tsk", f"{root.slug}/{kind}/{name}"),
            slug=name if kind is RunKind.STEP else kind.value,
            name=name,
            param_values=values,
            env_slug=root.env_slug,
            created_by=root.created_by,
            position=position,
            digests=digests,
        )
