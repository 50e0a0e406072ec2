"""The official Python SDK (`airplanesdk`), unchanged, against this server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.compat import (
    echo,
    result_of,
    serving,
    start,
)
from tests.support.servers import eventually

PROGRAM = Path(__file__).with_name("python_client.py")

pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def api():
    with serving() as client:
        yield client


def begin(api, action, *arguments, **environment):
    return start([sys.executable, str(PROGRAM), action, *map(json.dumps, arguments)], api, **environment)


def call(api, action, *arguments, **environment):
    return result_of(begin(api, action, *arguments, **environment))


@pytest.mark.parametrize("value", [None, {"a": [None, True, 1, 1.5, "ü", {"b": []}]}])
def test_a_task_is_executed_and_its_output_comes_back(api, value):
    run = call(api, "execute", "echo", {"value": value})["result"]
    assert run.pop("id").startswith("run")
    assert run == {
        "task_id": echo.id,
        "values": {"value": value},
        "status": "Succeeded",
        "output": value,
        "is_cached": False,
    }


def test_its_dates_and_times_arrive(api):
    run = call(api, "typed")["result"]
    assert run["output"] == ["2022-02-03", "2022-02-03T04:05:06Z", 7, ["a", "b"]]


def test_its_environment_is_the_id_that_it_must_have(api):
    run_id = call(api, "execute", "echo", {}, AIRPLANE_ENV_ID="env_staging")["result"]["id"]
    assert api.get("/runs/get", id=run_id).json["envSlug"] == "env_staging"


def test_a_failed_run_raises_with_the_message(api):
    assert call(api, "execute", "fail", {"reason": "no luck"}) == {
        "error": "no luck",
        "kind": "RunTerminationException",
    }


@pytest.mark.parametrize(
    ("slug", "values", "status", "code"),
    [
        ("nope", {}, 404, "task_not_found"),
        ("fail", {}, 400, "missing_parameter"),
        ("echo", {"other": 1}, 400, "unknown_parameter"),
    ],
)
def test_a_refusal_raises_with_its_status_code_and_message(api, slug, values, status, code):
    answer = call(api, "execute", slug, values)
    assert (answer["status"], answer["code"]) == (status, code)
    assert answer["error"].startswith(f'Failed to execute task "{slug}": ')


def test_a_wrong_token_raises_at_once(api):
    answer = call(api, "execute", "echo", {}, AIRPLANE_TOKEN="tkn_wrong")
    assert (answer["status"], answer["code"]) == (401, "unauthorized")


def test_runs_by_task_id_as_in_2021(api):
    assert call(api, "run", echo.id, {"value": 3})["result"] == {"status": "Succeeded", "outputs": 3}


def test_a_prompt_is_read_and_waited_for(api):
    session_id = api.execute("asks")
    prompt = api.open_prompt(session_id)
    read = call(api, "get_prompt", prompt["id"])["result"]
    assert read == prompt
    waiting = begin(api, "wait_for_prompt", prompt["id"])
    api.answer(session_id, go=True, note="ü")
    assert result_of(waiting)["result"]["values"] == {"go": True, "note": "ü"}


def test_a_cancelled_prompt_raises(api):
    prompt = api.open_prompt(api.execute("asks"))
    api.post("/prompts/cancel", {"id": prompt["id"]})
    assert call(api, "wait_for_prompt", prompt["id"])["kind"] == "PromptCancelledError"


def test_the_runs_of_a_session_are_read(api):
    session_id = api.execute("plain", {"value": "x"})
    (run,) = eventually(lambda: api.runs(session_id))
    api.reaches(session_id, "Succeeded")
    assert call(api, "get_run", run["id"])["result"]["sessionID"] == session_id


def test_what_only_the_hosted_service_had_is_refused_plainly(api):
    answer = call(api, "display")
    assert (answer["status"], answer["code"]) == (404, "route_not_found")
    assert "/v0/displays/create" in answer["error"]
