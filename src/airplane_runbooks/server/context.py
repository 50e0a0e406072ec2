"""What a runbook gets to work with: steps, prompts, and their replay.

A prompt ends the execution of the runbook and holds nothing while the human thinks; the answer executes the runbook
again from its top. What it had done by then is not done again: the store has the runs, and the context hands out their
recorded results by position, as long as the names agree.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..models import Parameter, Reviewers, RunStatus
from .encoding import NotEncodable, decode, encode, encode_members
from .fields import parameter
from .halts import Halt, Interrupted, PromptCancelled, ReplayMismatch, StepFailed, Stopped, Suspended
from .ids import new_id, stable_id
from .records import Failure, Outcome, Prompt, Run, RunKind
from .store import Store
from .values import read_all

T = TypeVar("T")

_FIRST_DELAY = 0.1  # seconds
_LONGEST_DELAY = 5.0


class Context:
    """Steps and prompts of one session. For the thread that executes the runbook, and outside of steps only.

    Attributes:
        session_id: ID of the session.
        run_id: ID of the run of the runbook itself.
        env_slug: Environment in which the runbook is executed.
    """

    def __init__(self, store: Store, parent: Run, stopping: threading.Event) -> None:
        self.session_id = parent.session_id or ""
        self.run_id = parent.id
        self.env_slug = parent.env_slug
        self._store = store
        self._parent = parent
        self._stopping = stopping
        self._history: Sequence[Run] = store.history(parent.id)
        self._position = 0
        self._thread = threading.get_ident()
        self._step: str | None = None
        self._halt: Halt | None = None

    def step(
        self, function: Callable[..., T], /, *args: Any, name: str | None = None, retries: int = 0, **kwargs: Any
    ) -> T:
        """Call a function once and for all, and return what JSON makes of its result, now and on every replay.

        `name` is by default the function's. A failing function is called up to `retries` more times, after 0.1, 0.2,
        0.4 and so on up to 5 seconds. Raises StepFailed, with the function's exception as its cause; also, without
        another attempt, if the result has no form in JSON.
        """
        label = name or getattr(function, "slug", None) or getattr(function, "__name__", None)
        if not isinstance(label, str):
            raise TypeError("this step needs a name")
        run = self._next(RunKind.STEP, label)
        if run is None:
            run = self._child(RunKind.STEP, label, function, encode_members(_named(function, args, kwargs)))
            self._add(run)
        if run.failure is not None:
            raise StepFailed(label, run.failure.kind, run.failure.message)
        if run.status is RunStatus.SUCCEEDED:
            return decode(run.output)  # type: ignore[no-any-return]  # JSON in place of R
        return decode(self._perform(run, lambda: function(*args, **kwargs), retries))  # type: ignore[no-any-return]  # JSON in place of R

    def prompt(
        self,
        description: str,
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        **fields: Any,
    ) -> dict[str, Any]:
        """Ask a human and return the answer by field, as Python values; the session is Waiting until then.

        Each field is a type or a `Field`. Raises PromptCancelled if the human cancels.
        """
        parameters = tuple(parameter(slug, annotation) for slug, annotation in fields.items())
        run = self._next(RunKind.PROMPT, description)
        if run is None:
            run = self._child(RunKind.PROMPT, description, None, b"{}")
            prompt = Prompt(
                id=new_id("pmt"),
                run_id=run.id,
                parent_id=self.run_id,
                description=description,
                parameters=parameters,
                reviewers=reviewers or Reviewers(),
                confirm_text=confirm_text,
                cancel_text=cancel_text,
            )
            self._add(run, prompt)
        return self._answer(run, description, parameters)

    def _answer(self, run: Run, description: str, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
        if run.status is RunStatus.CANCELLED:
            raise PromptCancelled(description)
        if run.status is not RunStatus.SUCCEEDED:
            raise self._halted(Suspended())
        return read_all(parameters, decode(run.output), "values")

    def _next(self, kind: RunKind, name: str) -> Run | None:
        """Step forward and return what is recorded there, None beyond the record."""
        if self._thread != threading.get_ident():
            raise RuntimeError("a context belongs to the thread that executes the runbook")
        if self._step is not None:
            raise RuntimeError(f"step {self._step!r} cannot have steps or prompts of its own")
        if self._halt is not None:
            raise self._halt
        self._position += 1
        if self._position > len(self._history):
            if self._stopping.is_set():
                raise self._halted(Stopped())
            return None
        run = self._history[self._position - 1]
        if (run.kind, run.name) != (kind, name):
            raise self._halted(
                ReplayMismatch(
                    f"the runbook went another way than before: at position {self._position} it had "
                    f"{run.kind.value} {run.name!r} and now has {kind.value} {name!r}"
                )
            )
        return run

    def _child(self, kind: RunKind, name: str, function: Callable[..., Any] | None, values: bytes) -> Run:
        known_as = getattr(function, "id", None)
        return Run(
            id=new_id("run"),
            kind=kind,
            parent_id=self.run_id,
            session_id=self._parent.session_id,
            task_id=known_as if isinstance(known_as, str) else stable_id("tsk", f"{self._parent.slug}/{kind}/{name}"),
            slug=name if kind is RunKind.STEP else kind.value,
            name=name,
            param_values=values,
            env_slug=self.env_slug,
            position=str(self._position),
        )

    def _add(self, run: Run, prompt: Prompt | None = None) -> None:
        if not self._store.add_child(run, self._parent.epoch, prompt):
            raise self._halted(Interrupted())

    def _perform(self, run: Run, call: Callable[[], Any], retries: int) -> bytes:
        try:
            output = encode(self._call(run, call, retries))
        except Halt:
            raise
        except BaseException as problem:
            kind = "TypeError" if isinstance(problem, NotEncodable) else type(problem).__name__
            text = f"the result has no form in JSON: {problem}" if isinstance(problem, NotEncodable) else None
            failure = Failure(kind, text or Failure.of(problem).message)
            self._finish(run, Outcome.failed(failure))
            raise StepFailed(run.name, failure.kind, failure.message) from problem
        self._finish(run, Outcome.succeeded(output))
        return output

    def _call(self, run: Run, call: Callable[[], Any], retries: int) -> Any:
        delay = _FIRST_DELAY
        self._step = run.name
        try:
            for _ in range(retries):
                try:
                    return call()
                except Exception:  # noqa: BLE001 - whatever it is, another attempt is what the runbook asked for
                    if self._stopping.wait(delay):
                        raise self._halted(Stopped()) from None
                    if not self._store.attempt(run.id, self._parent.epoch):
                        raise self._halted(Interrupted()) from None
                    delay = min(delay * 2, _LONGEST_DELAY)
            return call()
        finally:
            self._step = None

    def _finish(self, run: Run, outcome: Outcome) -> None:
        if not self._store.finish(run.id, outcome, self._parent.epoch):
            raise self._halted(Interrupted()) from None

    def _halted(self, halt: Halt) -> Halt:
        # kept, so that a runbook that swallows it cannot go on as if nothing had happened
        self._halt = halt
        return halt

    def unfinished(self) -> str | None:
        """Return the name of the first recorded step or prompt that the runbook has not come to, if any."""
        rest = self._history[self._position :]
        return rest[0].name if rest else None

    @property
    def halt(self) -> Halt | None:
        """What has ended this execution before its end, if anything has."""
        return self._halt


def _named(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by the function's parameter names, those without a name by their position."""
    try:
        return dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {**{str(index): value for index, value in enumerate(args)}, **kwargs}
