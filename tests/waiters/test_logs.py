"""Logs of runs, line by line over all pages, with either client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airplane_runbooks import NotFound, NotSupported, Response
from airplane_runbooks.models import LogLine, LogSeverity, LogStream
from airplane_runbooks.testing import json_response
from tests.support.clients import Either, Model

Make = Callable[..., Either]


class Logs(Model):
    """A server whose logs are paged two lines at a time, by tokens that are the IDs of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, list[dict[str, Any]]] = {}

    def get_logs(self, values: dict[str, Any]) -> Response:
        given = values.get("prev_token", "")
        lines = self.logs.get(values["runID"])
        if lines is None:
            return json_response({"error": "there is no such run", "code": "run_not_found"}, status=404)
        if values.get("level") != "debug":
            lines = [line for line in lines if line.get("level") != "debug"]
        start = next((number + 1 for number, line in enumerate(lines) if line["insertID"] == given), 0)
        page = lines[start : start + 2]
        token = page[-1]["insertID"] if page else given
        more = token if lines[start + 2 :] else ""
        return json_response({"runID": values["runID"], "logs": page, "prev_token": token, "next_token": more})

    _paths = {**Model._paths, "/runs/getLogs": get_logs}  # type: ignore[dict-item]


def line(number: int, **fields: Any) -> dict[str, Any]:
    shown = {"timestamp": f"2026-01-01T00:00:0{number}Z", "insertID": f"1.{number}", "text": f"text {number}"}
    return {**shown, "level": "info", "taskSlug": "t", **fields}


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    return lambda model, **options: Either(request.param, model.transport, **options)


@pytest.fixture
def model() -> Logs:
    made = Logs()
    made.add_session("ses1", "Active", runbookID="rbk1")
    made.add_run("run1", status="Succeeded")
    made.add_run("run2")
    made.logs = {"run1": [line(number) for number in range(5)], "run2": []}
    return made


def test_lines_come_from_all_pages_with_all_that_is_told(make: Make, model: Logs) -> None:
    model.logs["run1"][1] |= {"level": "debug", "severity": "debug", "stream": "log", "attempt": 2}
    lines = make(model)(lambda airplane: airplane.runs.logs("run1"))
    assert [one.text for one in lines] == [f"text {number}" for number in range(5)]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert lines[0] == LogLine(id="1.0", timestamp=at, text="text 0", severity=LogSeverity.INFO)
    assert (lines[1].severity, lines[1].stream, lines[1].attempt) == (LogSeverity.DEBUG, LogStream.LOG, 2)
    assert [values.get("prev_token") for _, values in model.calls] == [None, "1.1", "1.3"]


def test_a_log_is_continued_after_a_line(make: Make, model: Logs) -> None:
    lines = make(model)(lambda airplane: airplane.runs.logs("run1", after="1.2"))
    assert [one.id for one in lines] == ["1.3", "1.4"]
    assert make(model)(lambda airplane: airplane.runs.logs("run1", after="1.4")) == []


def test_a_server_that_repeats_a_page_is_not_asked_for_ever(make: Make, model: Logs) -> None:
    model.each = lambda _: json_response({"logs": [line(0)], "prev_token": "x", "next_token": "x"})
    assert len(make(model)(lambda airplane: airplane.runs.logs("run1"))) == 2


def test_the_log_of_a_missing_run_is_not_found(make: Make, model: Logs) -> None:
    with pytest.raises(NotFound) as caught:
        make(model)(lambda airplane: airplane.runs.logs("run9"))
    assert not isinstance(caught.value, NotSupported)


def test_a_server_without_logs_does_not_support_them(make: Make, model: Logs) -> None:
    model.each = lambda path: json_response({}, status=404) if path == "/runs/getLogs" else None
    with pytest.raises(NotSupported, match=r"runs\.logs"):
        make(model)(lambda airplane: airplane.runs.logs("run1"))


def test_steps_come_with_their_logs_if_asked(make: Make, model: Logs) -> None:
    first, second = make(model)(lambda airplane: airplane.sessions.steps("ses1", logs=True))
    assert [one.text for one in first.logs] == [f"text {number}" for number in range(5)]
    assert second.logs == ()
    model.calls.clear()
    plain = make(model)(lambda airplane: airplane.sessions.steps("ses1"))
    assert [step.logs for step in plain] == [(), ()]
    assert "/runs/getLogs" not in [path for path, _ in model.calls]
