"""How the execution of a runbook can end before the end of the runbook."""

from __future__ import annotations


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
