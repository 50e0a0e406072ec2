"""The record of one execution: what the runbook has been through, and where in it each line of steps stands.

A runbook is executed again from its top after every pause. Each step and prompt has a position, and what is recorded at
that position is handed out instead of being done again. Lines of steps that run side by side are branches: each has
positions of its own, so that it does not matter which of them is faster.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from typing import Any

import msgspec

from ...models import Parameter, RunStatus
from ...schema.problems import NotEncodable
from ..authoring.calls import StepCall
from ..authoring.errors import PromptCancelled, PromptExpired, StepFailed
from ..authoring.fields import shape
from ..authoring.questions import Question
from ..logs import original
from ..observers.emitter import Emitter
from ..secrets.masking import Secrets
from ..secrets.vault import Vault
from ..storage.encoding import (
    EMPTY,
    decode,
    encode,
    encode_members,
)
from ..storage.ids import new_id, now, stable_id
from ..storage.interface import Store
from ..storage.records import (
    Failure,
    Outcome,
    Prompt,
    Run,
    RunKind,
)
from .asked import Asked
from .digests import Digests
from .executions import Execution
from .guard import apart, guarded, insist
from .signals import (
    EngineTrouble,
    Halt,
    Interrupted,
    ReplayMismatch,
    Stopped,
    Suspended,
)

_FIRST_DELAY = 0.1  # seconds
_LONGEST_DELAY = 5.0
_BRIEF = 60  # characters of a value in a message

# Whoever makes a task or a thread hands it a copy: so it is known which branch it was made in, and after which step.
_PLACE: ContextVar[tuple[Branch, int] | None] = ContextVar("place", default=None)
_STEP: ContextVar[str | None] = ContextVar("step", default=None)


class Branch:
    """A line of steps, one after the other. `owner` is the task or thread that goes along it."""

    def __init__(self, journal: Journal, path: tuple[int, ...], owner: object) -> None:
        self.journal = journal
        self.path = path
        self.owner = owner
        self.position = 0
        self.halt: Halt | None = None

    def enter(self) -> None:
        """Go along this branch from here on, in the current task or thread."""
        _PLACE.set((self, self.position))

    def next(self) -> str:
        """Step forward and return the position."""
        self.position += 1
        self.enter()
        return ".".join(map(str, (*self.path, self.position)))


class Journal:
    """Finds what is recorded, records what is new, and knows why the execution must end before its end.

    Safe for the threads of one execution. What is secret goes no further than here: what is recorded is masked, and
    sealed besides where that hides anything.
    """

    def __init__(
        self,
        root: Run,
        *,
        store: Store,
        stopping: threading.Event,
        emitter: Emitter,
        vault: Vault,
        secrets: Secrets,
        progressed: Callable[[], None],
        execution: Execution,
    ) -> None:
        self.root = root
        self._progressed = progressed
        self.execution = execution
        self._store = guarded(store, self._ended)
        self._patient_store = guarded(store)
        self._digests = Digests(vault, root.id)
        self._stopping = stopping
        self._emitter = emitter
        self._vault = vault
        self.secrets = secrets
        self._lock = threading.Lock()
        self.halt: Halt | None = None  # of all branches
        self._history = {run.position: run for run in self._store.history(root.id)}
        self._unseen = dict.fromkeys(self._history)
        self._opened: Counter[tuple[int, ...]] = Counter()
        self.main = Branch(self, (), None)
        self.quiet = False  # ended from outside, since all that was left to wait for are humans
        self.suspended = False
        self._over: Halt | None = None
        self.moves = 0  # how often any branch has moved

    @property
    def has_history(self) -> bool:
        """Whether anything has been recorded before this execution."""
        return bool(self._history)

    def start(self, owner: object) -> None:
        """Begin the main branch, in the current task or thread."""
        self.main.owner = owner
        self.main.enter()

    def end(self, *, quiet: bool) -> None:
        """Let no branch take another step: the runbook has ended, or is about to be ended since all is `quiet`."""
        self.quiet = quiet
        self._over = Suspended()

    def branch(self, owner: object) -> Branch:
        """Return the branch of a task or thread; a new one for a task that has its maker's as yet.

        Raises RuntimeError inside of a step, and where nothing leads back to the runbook. A thread gets no branch of
        its own here: nobody could tell afterwards which was which.
        """
        if (step := _STEP.get()) is not None:
            raise RuntimeError(f"step {step!r} cannot have steps or prompts of its own")
        branch, position = _PLACE.get() or (None, 0)
        stranger = isinstance(owner, int) and branch is not None and branch.owner != owner
        if branch is None or branch.journal is not self or stranger:
            raise RuntimeError("a context belongs to the runbook that is executed: for threads, use context.parallel")
        if branch.owner != owner:
            branch = self.open(branch, position, owner)
            branch.enter()
        return branch

    def open(self, branch: Branch, position: int, owner: object) -> Branch:
        """Open one more branch at a place in another one."""
        place = (*branch.path, position)
        with self._lock:
            self._opened[place] += 1
            return Branch(self, (*place, self._opened[place]), owner)

    def step(self, branch: Branch, call: StepCall) -> Run:
        """Return the run of the branch's next step, recorded or new. Raises Halt."""
        name = self.secrets.mask(call.name)
        arguments = {self.secrets.mask(argument): value for argument, value in call.arguments.items()}
        position, run = self._next(branch, RunKind.STEP, name)
        if run is not None and run.status.is_terminal:
            self._compare(run, arguments, call.volatile)
            return run
        with self.apart():
            digests = self._digests.make(arguments, call.volatile)
        if run is None:
            run = self._child(RunKind.STEP, name, position, self._shown(arguments), digests)
            run = msgspec.structs.replace(run, task_id=call.task_id or run.task_id, timeout=call.timeout)
            self._add(run)
        else:  # the server died in it
            run = msgspec.structs.replace(
                run, attempt=run.attempt + 1, param_values=self._shown(arguments), digests=digests
            )
            self._begin_attempt(run)
        return run

    def prompt(self, branch: Branch, question: Question) -> Run:
        """Return the run of the branch's next prompt, recorded or new. Raises Halt."""
        description = self.secrets.mask(question.description)
        position, run = self._next(branch, RunKind.PROMPT, description)
        fields = {parameter.slug: shape(parameter) for parameter in question.parameters}
        if run is not None and run.status is RunStatus.SUCCEEDED:
            self._compare(run, fields)
        if run is None:
            with self.apart():
                digests = self._digests.make(fields)
            run = self._child(RunKind.PROMPT, description, position, EMPTY, digests)
            asked = Asked(question.parameters, question.reviewers)
            shown = asked.masked(self.secrets)
            prompt = Prompt(
                id=new_id("pmt"),
                run_id=run.id,
                root_id=self.root.id,
                description=description,
                parameters=shown.parameters,
                reviewers=shown.reviewers,
                confirm_text=self.secrets.mask(question.confirm_text),
                cancel_text=self.secrets.mask(question.cancel_text),
                expires_at=None if question.expires_in is None else now() + question.expires_in,
                sealed=None if shown == asked else self._vault.seal(encode(asked)),
            )
            self._add(run, prompt)
        return run

    def result(self, run: Run) -> Any:
        """Return what a step that has ended returned. Raises StepFailed."""
        if run.failure is not None:
            raise StepFailed(run.name, run.failure.kind, run.failure.message)
        return self._read(run)

    def answer(self, branch: Branch, run: Run, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
        """Return the JSON of an answer. Raises PromptCancelled, and Suspended if there is none."""
        if run.status is RunStatus.CANCELLED:
            raise PromptExpired(run.name) if run.cancelled_by is None else PromptCancelled(run.name)
        if run.status is not RunStatus.SUCCEEDED:
            branch.halt = Suspended()
            self.suspended = True
            raise branch.halt
        values: dict[str, Any] = self._read(run)
        self.secrets.add(Secrets.of(parameters, values))
        return values

    async def perform(
        self,
        run: Run,
        call: Callable[[], Awaitable[Any]],
        retries: int,
        wait: Callable[[float], Awaitable[bool]],
    ) -> Any:
        """Call until it succeeds or has failed once more than `retries` times, record the end, and return the result.

        `wait` waits some seconds and tells whether the server is about to stop. Raises StepFailed, Halt.
        """
        try:
            shown, sealed, plain = self._encoded(await self._attempts(run, call, retries, wait))
        except Halt:
            raise
        except BaseException as problem:  # noqa: BLE001 - it is all described
            failure = self.failure(problem)
            await self._finish(run, Outcome.failed(failure), wait)
            raise StepFailed(run.name, failure.kind, failure.message) from original(problem)
        await self._finish(run, Outcome.succeeded(shown, sealed), wait)
        return decode(plain)

    def succeeded(self, value: Any) -> Outcome:
        """Return the outcome of a runbook that returned this. Raises NotEncodable."""
        shown, sealed, _ = self._encoded(value)
        return Outcome.succeeded(shown, sealed)

    def failure(self, problem: BaseException) -> Failure:
        """Describe an exception. Raises nothing."""
        failure = Failure.of(problem, self.secrets.mask)
        if type(problem) is NotEncodable:
            return Failure("TypeError", f"the result has no form in JSON: {failure.message}")
        return failure

    def interrupt(self) -> None:
        """Let the execution end at its next step."""
        self._ended(Interrupted())

    def apart(self) -> AbstractContextManager[None]:
        """Return what makes the execution end in EngineTrouble for whatever is raised inside."""
        return apart(self._ended)

    def mismatch(self, text: str) -> Halt:
        """Return the end of an execution that finds something else recorded than it can go on with."""
        return self._ended(ReplayMismatch(self.secrets.mask(text)))

    def unfinished(self) -> str | None:
        """Return the name of the first recorded step or prompt that the runbook has not come to, if any."""
        return next((self._history[position].name for position in self._unseen), None)

    def _next(self, branch: Branch, kind: RunKind, name: str) -> tuple[str, Run | None]:
        """Step forward and return what is recorded there, None beyond the record."""
        if (halt := self.halt or branch.halt or self._over) is not None:
            raise halt
        position = branch.next()
        self.moves += 1
        run = self._history.get(position)
        if run is None:
            if self._stopping.is_set():
                raise self._ended(Stopped())
            return position, None
        if (run.kind, run.name) != (kind, name):
            raise self.mismatch(
                f"the runbook went another way than before: at position {position} it had "
                f"{run.kind.value} {run.name!r} and now has {kind.value} {name!r}"
            )
        self._unseen.pop(position, None)
        return position, run

    def _compare(self, run: Run, values: dict[str, Any], volatile: Collection[str] = ()) -> None:
        """Hold what a step or prompt that has ended is given against what it was given. Raises ReplayMismatch."""
        with self.apart():
            differing = self._digests.differing(run.digests, values, volatile)
        if not differing:
            return
        told = f"prompt {run.name!r} asked for other fields: {', '.join(differing)}"
        if run.kind is RunKind.STEP:
            then, now = decode(run.param_values), decode(self._shown(values))
            changes = (f"{name} was {_brief(then, was)} and is {_brief(now, name)}" for name, was in differing.items())
            told = f"step {run.name!r} had other arguments: {', '.join(changes)}"
        raise self.mismatch(f"the runbook went another way than before: at position {run.position}, {told}")

    def _shown(self, arguments: dict[str, Any]) -> bytes:
        return self.secrets.mask_json(encode_members(arguments))

    def _child(self, kind: RunKind, name: str, position: str, values: bytes, digests: bytes) -> Run:
        root = self.root
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

    def _add(self, run: Run, prompt: Prompt | None = None) -> None:
        if not self._store.add_child(run, self.root.fencing_token, prompt):
            raise self._ended(Interrupted())
        self._emitter.child_added(self.root, run, prompt)
        if prompt is not None:
            self._progressed()

    def _begin_attempt(self, run: Run) -> None:
        if not self._store.attempt(run, self.root.fencing_token):
            raise self._ended(Interrupted()) from None

    async def _attempts(
        self, run: Run, call: Callable[[], Awaitable[Any]], retries: int, wait: Callable[[float], Awaitable[bool]]
    ) -> Any:
        delay = _FIRST_DELAY
        last = run.attempt + retries
        for number in range(run.attempt, last):
            try:
                return await self._attempt(run, number, call)
            except Exception:  # noqa: BLE001 - whatever it is, another attempt is what the runbook asked for
                if await wait(delay):
                    raise self._ended(Stopped()) from None
                run = msgspec.structs.replace(run, attempt=number + 1)
                self._begin_attempt(run)
                delay = min(delay * 2, _LONGEST_DELAY)
        return await self._attempt(run, last, call)

    async def _attempt(self, run: Run, number: int, call: Callable[[], Awaitable[Any]]) -> Any:
        token = _STEP.set(run.name)
        try:
            with self._emitter.attempt(self.root, run, number):
                return await call()
        finally:
            _STEP.reset(token)

    async def _finish(self, run: Run, outcome: Outcome, wait: Callable[[float], Awaitable[bool]]) -> None:
        """Record what cannot be undone, and would have to be done again if it were lost."""
        try:
            recorded = await insist(partial(self._patient_store.finish, run.id, outcome, self.root.fencing_token), wait)
        except EngineTrouble as trouble:
            raise self._ended(trouble) from trouble.__cause__
        if not recorded:
            raise self._ended(Interrupted()) from None
        self._emitter.step_ended(self.root, run, outcome)
        self._progressed()

    def _encoded(self, value: Any) -> tuple[bytes, bytes | None, bytes]:
        """Encode a result: as anybody may see it, sealed if that hides anything, and plain."""
        plain = encode(value)
        with self.apart():
            shown = self.secrets.mask_json(plain)
            return shown, None if shown == plain else self._vault.seal(plain), plain

    def _read(self, run: Run) -> Any:
        with self.apart():
            return decode(run.output if run.sealed_output is None else self._vault.open(run.sealed_output))

    def _ended(self, halt: Halt) -> Halt:
        # kept, so that a runbook that swallows it cannot go on as if nothing had happened
        with self._lock:
            self.halt = self.halt or halt
        return self.halt


def _brief(shown: Mapping[str, Any], name: str) -> str:
    """Return a value as it may be shown, and no more of it than tells values apart."""
    if name not in shown:
        return "none that JSON can hold"
    written = msgspec.json.encode(shown[name]).decode()
    return written if len(written) <= _BRIEF else written[:_BRIEF] + "..."
