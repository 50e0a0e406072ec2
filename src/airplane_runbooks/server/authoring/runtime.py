"""Interface between contexts and the execution of steps, which `execution` implements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from .calls import StepCall
from .displays import Display
from .questions import Question

T = TypeVar("T")


class RuntimeInfo(Protocol):
    """The part that the runtimes of plain and async runbooks share."""

    session_id: str
    run_id: str
    env_slug: str

    @property
    def cancelled(self) -> bool:
        """True once the session is to end soon."""
        ...


class Runtime(RuntimeInfo, Protocol):
    """Executes the steps and prompts of a runbook that is a plain function."""

    def step(self, call: StepCall) -> Any:
        """Execute a step, or return its recorded result. Raises StepFailed."""
        ...

    def prompt(self, question: Question) -> Any:
        """Ask, or return the recorded answer. Raises PromptCancelled."""
        ...

    def show(self, display: Display) -> None:
        """Record what is shown, unless it is recorded."""
        ...

    def parallel(self, branches: Sequence[Callable[[], T]], limit: int) -> list[T]:
        """Call functions that have steps and prompts, side by side."""
        ...


class AsyncRuntime(RuntimeInfo, Protocol):
    """Executes the steps and prompts of an async runbook."""

    async def step(self, call: StepCall) -> Any:
        """Execute a step, or return its recorded result. Raises StepFailed."""
        ...

    async def prompt(self, question: Question) -> Any:
        """Ask, or return the recorded answer. Raises PromptCancelled."""
        ...

    async def show(self, display: Display) -> None:
        """Record what is shown, unless it is recorded."""
        ...
