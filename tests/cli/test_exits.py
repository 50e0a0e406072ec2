"""Exit statuses by the kind of error."""

from __future__ import annotations

import pytest

from airplane_runbooks import (
    BadRequest,
    ClientClosed,
    ConfigurationError,
    Conflict,
    ConnectError,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    ParamValueError,
    Run,
    RunFailed,
    RunStatus,
    ServerError,
    Session,
    SessionCancelled,
    SessionFailed,
    SessionStatus,
    Unauthorized,
    WaitTimeout,
)
from airplane_runbooks.cli.exits import exit_of, exit_of_end

ERRORS = [
    (SessionFailed(Session(status=SessionStatus.FAILED)), 1),
    (RunFailed(Run(id="run1", status=RunStatus.FAILED)), 1),
    (ConfigurationError("no key"), 2),
    (ParamValueError("params.x", "is too large"), 2),
    (BadRequest(400, "no"), 2),
    (Unauthorized(401, "no"), 3),
    (Forbidden(403, "no"), 6),
    (ServerError(500, "no"), 3),
    (ConnectError("no"), 3),
    (DeadlineExceeded("late"), 3),
    (SessionCancelled(Session(status=SessionStatus.CANCELLED)), 4),
    (RunFailed(Run(id="run1", status=RunStatus.CANCELLED)), 4),
    (WaitTimeout("late"), 5),
    (NotFound(404, "no"), 6),
    (Conflict(409, "no"), 6),
    (ClientClosed("no"), 6),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda part: type(part).__name__)
def test_each_kind_of_error_has_its_exit_status(error, status):
    assert exit_of(error) == status


def test_a_success_ends_with_status_0():
    assert exit_of_end(Session(status=SessionStatus.SUCCEEDED)) == 0
