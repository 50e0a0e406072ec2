"""The status for each error of the client."""

from __future__ import annotations

import pytest
from refunds.errors import answer, log, status_of

from airplane_runbooks import (
    AirplaneError,
    APIError,
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    Forbidden,
    InvalidResponse,
    Locked,
    NotFound,
    ParamValueError,
    RateLimited,
    ServerError,
    Unauthorized,
    WaitTimeout,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ParamValueError("param_values.cents", "nan has no form in JSON"), 422),
        (Locked(423, "in use"), 409),
        (NotFound(404, "there is no session ses1", code="session_not_found"), 404),
        (NotFound(404, "there is no runbook refnd", code="runbook_not_found"), 502),
        (NotFound(404, "no route", code="route_not_found"), 502),
        (NotFound(404, "not found nginx", advice="the base URL has no version path"), 502),
        (RateLimited(429, "slowly"), 503),
        (ConnectError("refused"), 503),
        (ClientClosed("closed"), 503),
        (ServerError(503, "busy"), 503),
        (ServerError(500, "oops"), 502),
        (ConnectionLost("reset"), 502),
        (InvalidResponse("not HTTP"), 502),
        (Unauthorized(401, "our key"), 502),
        (Forbidden(403, "our key"), 502),
        (APIError(418, "teapot"), 502),
        (ConfigurationError("our settings"), 502),
        (AttemptTimeout("late"), 504),
        (DeadlineExceeded("late"), 504),
        (WaitTimeout("late"), 504),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AirplaneError) else str(value),
)
def test_each_error_has_a_status(error: AirplaneError, status: int) -> None:
    assert status_of(error) == status


def test_an_answer_says_when_to_come_again() -> None:
    status, body, headers = answer(RateLimited(429, "slowly", retry_after=7.4))
    assert (status, headers) == (503, {"Retry-After": "7"})
    assert body == {"error": "RateLimited", "session": None, "may_have_happened": False}


def test_the_cause_is_logged_and_not_told_to_callers(caplog: pytest.LogCaptureFixture) -> None:
    error = NotFound(404, "not found", advice="the base URL http://inside has no version path")
    error.operation, error.attempts = "runbooks.execute", 1
    log(error)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"runbooks.execute failed after 1 attempts: {error}")
    ]
    assert answer(error)[1]["error"] == "NotFound"


def test_a_mistake_of_the_caller_does_not_alarm_anyone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log(ParamValueError("param_values.cents", "nan has no form in JSON"))
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_an_answer_says_that_a_refund_goes_on() -> None:
    error = WaitTimeout("late")
    error.session_id = "ses1"
    status, body, _ = answer(error)
    assert status == 202
    assert (body["session"], body["may_have_happened"]) == ("ses1", True)
