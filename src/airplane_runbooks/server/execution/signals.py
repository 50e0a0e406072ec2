"""Signals that end an execution before the runbook ends.

They derive from BaseException, so that a runbook that catches Exception lets them through.
"""

from __future__ import annotations

import threading


class Signal(BaseException):
    """The execution must end; the session has not necessarily ended."""


class AwaitingPrompt(Signal):
    """A prompt is open."""


class SessionCancelled(Signal):
    """The session was cancelled, or another server executes it by now."""


class ServerStopping(Signal):
    """The server is stopping."""


class ServerFailure(Signal):
    """The server itself failed, which says nothing about the runbook: the execution is begun again.

    Attributes:
        is_temporary: True if it can be expected to pass, as the outage of a database does.
    """

    def __init__(self, message: str, *, is_temporary: bool) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


class ReplayMismatch(Signal):
    """The runbook did not repeat its recorded steps. The message names both."""


class FirstSignal:
    """The first signal of an execution, kept so that a runbook that swallows it cannot continue. Safe for threads.

    Attributes:
        signal: The signal; None as long as the execution may go on.
    """

    def __init__(self) -> None:
        self.signal: Signal | None = None
        self._lock = threading.Lock()

    def record(self, signal: Signal) -> Signal:
        """Record a signal unless there is one already, and return the one to raise."""
        with self._lock:
            self.signal = self.signal or signal
        return self.signal
