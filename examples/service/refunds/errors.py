"""The answer for each error of the client."""

from __future__ import annotations

import logging
from typing import Any

from airplane_runbooks import (
    AirplaneError,
    AttemptTimeout,
    BadRequest,
    ClientClosed,
    Conflict,
    ConnectError,
    DeadlineExceeded,
    Locked,
    NotFound,
    ParamValueError,
    RateLimited,
    ServerError,
    SessionFailed,
    WaitTimeout,
)

LOGGER = logging.getLogger(__name__)


def status_of(error: AirplaneError) -> int:
    """Return the HTTP status that tells our caller what has happened."""
    match error:
        case ParamValueError() | BadRequest():
            return 422  # the caller's values
        case NotFound() if error.code == "session_not_found":
            return 404  # the caller's ID; a wrong slug or base URL is ours
        case Conflict() | Locked() | SessionFailed():
            return 409  # the state of things; a repetition does not help
        case WaitTimeout() if error.session_id is not None:
            return 202  # it goes on, and can be looked up
        case DeadlineExceeded() | WaitTimeout() | AttemptTimeout():
            return 504
        case RateLimited() | ConnectError() | ClientClosed():
            return 503  # surely not done: try again later
        case ServerError() if error.status == 503:
            return 503
        case _:
            return 502  # the runbooks' server, our key for it, or what came back


def log(error: AirplaneError) -> None:
    """Log the cause, once for each request. Our key is never in the text of an error."""
    level = logging.WARNING if status_of(error) >= 500 else logging.INFO
    LOGGER.log(level, "%s failed after %d attempts: %s", error.operation, error.attempts, error)


def answer(error: AirplaneError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the body and further headers. A text of ours may name our hosts: only the log has it."""
    status = status_of(error)
    body = {
        "error": str(error) if status < 500 else type(error).__name__,
        "session": error.session_id,
        "may_have_happened": error.maybe_processed or error.session_id is not None,
    }
    wait = getattr(error, "retry_after", None)
    return status, body, {} if wait is None else {"Retry-After": str(round(wait) or 1)}
