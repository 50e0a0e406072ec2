"""Exit statuses of the commands, which scripts can rely on."""

from __future__ import annotations

from enum import IntEnum

from .. import (
    AirplaneError,
    BadRequest,
    ConfigurationError,
    DeadlineExceeded,
    ParamValueError,
    RateLimited,
    Run,
    RunFailed,
    RunStatus,
    ServerError,
    Session,
    SessionCancelled,
    SessionFailed,
    SessionStatus,
    TransportError,
    Unauthorized,
    WaitTimeout,
)


class Exit(IntEnum):
    """Exit status of a command."""

    OK = 0
    FAILED = 1  # the session or run has failed
    USAGE = 2  # an option, an argument or a value cannot work
    UNREACHABLE = 3  # the server cannot be reached, does not accept the key, or has failed
    CANCELLED = 4  # the session or run was cancelled, or a confirmation refused
    TIMED_OUT = 5  # it has not ended in time
    REFUSED = 6  # the server or the database refused: no such object, not your right, or the wrong state
    INTERRUPTED = 130  # Ctrl-C
    BROKEN_PIPE = 141  # the reader of the output has gone


_BY_CLASS: tuple[tuple[tuple[type[AirplaneError], ...], Exit], ...] = (
    ((ConfigurationError, ParamValueError, BadRequest), Exit.USAGE),
    ((Unauthorized, TransportError, DeadlineExceeded, ServerError, RateLimited), Exit.UNREACHABLE),
    ((SessionCancelled,), Exit.CANCELLED),
    ((SessionFailed,), Exit.FAILED),
    ((WaitTimeout,), Exit.TIMED_OUT),
)


def exit_of(error: AirplaneError) -> Exit:
    """Return the exit status for an error of the client."""
    if isinstance(error, RunFailed):
        return exit_of_end(error.run)
    return next((code for classes, code in _BY_CLASS if isinstance(error, classes)), Exit.REFUSED)


def exit_of_end(ended: Session | Run) -> Exit:
    """Return the exit status for a session or run that has ended."""
    if ended.status in (SessionStatus.SUCCEEDED, RunStatus.SUCCEEDED):
        return Exit.OK
    cancelled = ended.status in (SessionStatus.CANCELLED, RunStatus.CANCELLED)
    return Exit.CANCELLED if cancelled else Exit.FAILED
