"""Exceptions that steps and prompts raise in a runbook."""

from __future__ import annotations


class StepFailed(Exception):
    """A step raised on its last attempt. A replay raises the same again.

    Attributes:
        step: The step's name.
        kind: Name of the original exception's class. The exception itself is `__cause__`, except on replay.
        message: Its message.
        run_id: ID of the step's run.
    """

    def __init__(self, step: str, kind: str, message: str, run_id: str | None = None) -> None:
        super().__init__(step, kind, message, run_id)
        self.step = step
        self.kind = kind
        self.message = message
        self.run_id = run_id

    def __str__(self) -> str:
        return f"step {self.step!r} failed: {self.kind}: {self.message}"


class PromptCancelled(Exception):
    """A reviewer cancelled the prompt instead of answering it. Uncaught, it ends the session as Cancelled."""

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description

    def __str__(self) -> str:
        return f"the prompt {self.description!r} was cancelled"


class PromptExpired(PromptCancelled):
    """The prompt was not answered in time. Uncaught, it ends the session as Cancelled."""

    def __str__(self) -> str:
        return f"the prompt {self.description!r} expired"
