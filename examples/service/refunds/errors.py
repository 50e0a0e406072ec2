"""The answer for each error of the client."""

from __future__ import annotations

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


def status_of(error: AirplaneError) -> int:
    """Return the HTTP status that tells our caller what has happened."""
    match error:
        case ParamValueError() | BadRequest():
            return 422  # the caller's values
        case NotFound():
            return 404
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


def answer(error: AirplaneError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the body and further headers. A key of ours is never in the text of an error."""
    body = {
        "error": str(error),
        "session": error.session_id,
        "may_have_happened": error.maybe_processed or error.session_id is not None,
    }
    wait = getattr(error, "retry_after", None)
    return status_of(error), body, {} if wait is None else {"Retry-After": str(round(wait) or 1)}
