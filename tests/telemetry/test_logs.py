"""Log lines of the library."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace

from airplane_runbooks import ConnectError
from airplane_runbooks.testing import json_response
from tests.support.observed import OK, UNAVAILABLE, Make

LOGGER = "airplane_runbooks"


class Noting(logging.Handler):
    """Keeps each record, and the span that was current."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.spans: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.spans.append(trace.get_current_span())


@pytest.fixture
def noted(caplog: pytest.LogCaptureFixture) -> Any:
    handler = Noting()
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, LOGGER):
        yield handler
    logger.removeHandler(handler)


def test_each_retry_is_an_info_line_under_the_span_of_the_call(make: Make, noted: Noting) -> None:
    seen = make([UNAVAILABLE, ConnectError("refused"), OK])
    seen.execute()
    assert [record.levelno for record in noted.records] == [logging.INFO, logging.INFO]
    delays = seen.clock.sleeps
    assert [record.getMessage() for record in noted.records] == [
        f"runbooks.execute: attempt 1 ended with 503, next in {delays[0]:.3f} s",
        f"runbooks.execute: attempt 2 ended with ConnectError, next in {delays[1]:.3f} s",
    ]
    fields = [
        {name: vars(record)[name] for name in ("operation", "attempt", "delay", "error_type")}
        for record in noted.records
    ]
    assert fields == [
        {"operation": "runbooks.execute", "attempt": 1, "delay": delays[0], "error_type": "503"},
        {
            "operation": "runbooks.execute",
            "attempt": 2,
            "delay": delays[1],
            "error_type": "airplane_runbooks.errors.ConnectError",
        },
    ]
    call = seen.call.get_span_context()
    assert [span.get_span_context() for span in noted.spans] == [call, call]


def test_log_lines_are_formatted_on_demand_and_hold_no_bodies(make: Make, noted: Noting) -> None:
    seen = make([json_response({"error": "body"}, status=503), OK], api_key="tkn_secret")
    seen(lambda airplane: airplane.runbooks.execute("x", param_values={"card": "a-card-number"}))
    (record,) = noted.records
    assert "%s" in str(record.msg)
    everything = f"{record.getMessage()} {vars(record)}"
    assert not [word for word in ("body", "tkn_secret", "a-card-number") if word in everything]


def test_nothing_is_printed_where_logging_is_not_set_up(kind: str) -> None:
    code = f"""
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either
from tests.support.observed import OK, UNAVAILABLE, execute
import logging
logging.getLogger("airplane_runbooks").setLevel(logging.DEBUG)
from tests.telemetry.test_lifecycle import broken
Either({kind!r}, FakeTransport([UNAVAILABLE, OK]), **broken("end"))(execute)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == done.stdout == ""
