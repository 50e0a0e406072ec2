"""The status for each error of the client."""

from __future__ import annotations

import pytest
from refunds.errors import answer, status_of

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
    assert body == {"error": "429: slowly", "session": None, "may_have_happened": False}


def test_an_answer_says_that_a_refund_goes_on() -> None:
    error = WaitTimeout("late")
    error.session_id = "ses1"
    status, body, _ = answer(error)
    assert status == 202
    assert (body["session"], body["may_have_happened"]) == ("ses1", True)
