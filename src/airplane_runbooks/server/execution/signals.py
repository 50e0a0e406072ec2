"""How the execution of a runbook can end before the end of the runbook."""

from __future__ import annotations


class StepFailed(Exception):
    """A step raised, on its last attempt. The same is raised again whenever the runbook is replayed.

    Attributes:
        step: The step's name.
        kind: The name of the original exception's class; the exception itself is `__cause__`, but not on replay.
        message: Its message.
    """

    def __init__(self, step: str, kind: str, message: str) -> None:
        super().__init__(step, kind, message)
        self.step = step
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"step {self.step!r} failed: {self.kind}: {self.message}"


class PromptCancelled(Exception):
    """A human has cancelled the prompt instead of answering it. Uncaught, it ends the session as Cancelled."""

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description

    def __str__(self) -> str:
        return f"the prompt {self.description!r} was cancelled"


class PromptExpired(PromptCancelled):
    """Nobody has answered the prompt in time. Uncaught, it ends the session as Cancelled."""

    def __str__(self) -> str:
        return f"the prompt {self.description!r} expired"


class Halt(BaseException):
    """The end of an execution that is no end of the session; not an Exception, so that runbooks let it through."""


class Suspended(Halt):
    """A prompt is open."""


class Interrupted(Halt):
    """The session has been cancelled."""


class Stopped(Halt):
    """The server is closing."""


class EngineTrouble(Halt):
    """The server itself is in trouble, which says nothing about the runbook: the execution is begun again.

    Attributes:
        passes: Whether that can be expected to pass, as the outage of a database does.
    """

    def __init__(self, message: str, *, passes: bool) -> None:
        super().__init__(message)
        self.passes = passes


class ReplayMismatch(Halt):
    """The runbook does not repeat what it did before. The message names both."""


class CodeChanged(Halt):
    """The runbook's code is not that with which the session was started."""
