"""The service on the page about services answers each error as the page says, and logs its cause."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from airplane_runbooks import BadRequest, ClientClosed, DeadlineExceeded, NotFound, Unauthorized, WaitTimeout

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "embedding.md"


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    pytest.importorskip("fastapi")
    section = PAGE.read_text("utf-8").partition("\n## FastAPI\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "service"}
    for block in blocks[:2]:  # the third has its tests, which need an HTTP client
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(
    ("error", "status", "level"),
    [
        (BadRequest(400, "a value is wrong"), 422, "INFO"),
        (NotFound(404, "there is no session ses1", code="session_not_found"), 404, "INFO"),
        (NotFound(404, "there is no runbook refnd", code="runbook_not_found"), 502, "WARNING"),
        (NotFound(404, "this server has no route", code="route_not_found"), 502, "WARNING"),
        (NotFound(404, "not found", advice="the base URL has no version path"), 502, "WARNING"),
        (Unauthorized(401, "our key"), 502, "WARNING"),
        (ClientClosed("closed"), 503, "WARNING"),
        (DeadlineExceeded("late"), 504, "WARNING"),
        (WaitTimeout("late"), 504, "WARNING"),
    ],
    ids=str,
)
def test_an_error_has_a_status_and_one_line_of_the_log(
    service: dict[str, Any], error: Any, status: int, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    error.operation, error.attempts = "runbooks.execute", 1
    answer = asyncio.run(service["answer_for"](None, error))
    assert answer.status_code == status
    assert json.loads(answer.body)["error"] == type(error).__name__
    logged = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "service"]
    assert logged == [(level, f"runbooks.execute failed after 1 attempts: {error}")]
