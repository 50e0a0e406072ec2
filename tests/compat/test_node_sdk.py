"""The official JavaScript SDK (npm `airplane`), in several generations, unchanged, against this server.

`NODE_PATH` names the `node_modules` that `tests/compat/node` has been installed into.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.compat import (
    echo,
    plain,
    result_of,
    serving,
    start,
)
from tests.support.servers import eventually

PROGRAM = Path(__file__).parent / "node" / "client.js"
LATEST = "airplane"
GENERATIONS = [LATEST, "airplane-0.2.7"]

pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def api():
    with serving() as client:
        yield client


@pytest.fixture(params=GENERATIONS)
def package(request):
    return request.param


def begin(api, package, action, *arguments, **environment):
    return start(["node", str(PROGRAM), package, action, *map(json.dumps, arguments)], api, **environment)


def call(api, package, action, *arguments, **environment):
    return result_of(begin(api, package, action, *arguments, **environment))


@pytest.mark.parametrize("value", [None, {"a": [None, True, 1, 1.5, "ü", {"b": []}]}])
def test_a_task_is_executed_and_its_output_comes_back(api, package, value):
    run = call(api, package, "execute", "echo", {"value": value})["result"]
    assert run.pop("id").startswith("run")
    assert run.pop("isCached", False) is False
    assert run == {"taskID": echo.id, "paramValues": {"value": value}, "status": "Succeeded", "output": value}


def test_a_runbook_is_executed_to_its_end(api, package):
    session = call(api, package, "executeRunbook", "plain", {"value": "x"})["result"]
    assert session.pop("id").startswith("ses")
    assert session == {"runbookID": plain.id, "paramValues": {"value": "x"}, "status": "Succeeded"}


def test_a_runbook_without_values_is_executed(api, package):
    assert call(api, package, "executeRunbook", "plain")["result"]["status"] == "Succeeded"


def test_a_waiting_session_is_waited_for(api, package):
    process = begin(api, package, "executeRunbook", "asks")
    (session,) = eventually(
        lambda: [one for one in api.get("/sessions/list").json["sessions"] if one["status"] == "Waiting"]
    )
    api.answer(session["id"], go=True, note="")
    assert result_of(process)["result"]["status"] == "Succeeded"


def test_a_failed_session_raises(api, package):
    assert call(api, package, "executeRunbook", "fails")["message"] == "Session failed"


def test_a_cancelled_session_raises(api, package):
    process = begin(api, package, "executeRunbook", "asks")
    (session,) = eventually(
        lambda: [one for one in api.get("/sessions/list").json["sessions"] if one["status"] == "Waiting"]
    )
    api.post("/prompts/cancel", {"id": api.open_prompt(session["id"])["id"]})
    assert result_of(process)["message"] == "Session cancelled"


def test_sessions_and_runs_are_read(api, package):
    session_id = call(api, package, "executeRunbookBackground", "plain", {"value": "x"})["result"]
    api.reaches(session_id, "Succeeded")
    run = api.runs(session_id)[0]
    assert call(api, package, "getSession", session_id)["result"]["status"] == "Succeeded"
    read = call(api, package, "getRun", run["id"])["result"]
    assert (read["taskID"], read["output"]) == (plain.id, "x in compat")


def test_a_prompt_is_read(api, package):
    prompt = api.open_prompt(api.execute("asks"))
    assert call(api, package, "getPrompt", prompt["id"])["result"] == prompt
    api.post("/prompts/cancel", {"id": prompt["id"]})


def test_a_failed_run_raises(api, package):
    assert call(api, package, "execute", "fail", {"reason": "no luck"})["name"] == "RunTerminationError"


def test_a_refusal_raises_at_once(api, package):
    for slug, status, code in (("nope", 404, "task_not_found"), ("fail", 400, "missing_parameter")):
        answer = call(api, package, "execute", slug)
        assert answer["statusCode"] == status
        if package == LATEST:  # the older one knows no codes and no attempts
            assert (answer["errorCode"], answer["attempt"]) == (code, 1)
            assert answer["message"].startswith(f'Failed to execute task "{slug}": ')


def test_the_key_may_come_as_an_api_key(api, package):
    key = {"AIRPLANE_TOKEN": "", "AIRPLANE_API_KEY": api.headers["X-Airplane-API-Key"]}
    assert call(api, package, "execute", "echo", **key)["result"]["status"] == "Succeeded"
    assert call(api, package, "execute", "echo", AIRPLANE_TOKEN="tkn_wrong")["statusCode"] == 401


def test_the_environment_s_slug_wins_over_its_id(api, package):
    session_id = call(api, package, "executeRunbookBackground", "plain", AIRPLANE_ENV_SLUG="staging")["result"]
    assert api.runs(session_id)[0]["envSlug"] == "staging"


def test_its_dates_and_times_arrive(api):
    run = call(api, LATEST, "dates", TZ="Asia/Karachi")["result"]
    assert run["output"] == ["2022-02-03", "2022-02-03T04:05:06Z", 7, None]


def test_many_calls_with_one_key_start_one_session(api):
    answers = call(api, LATEST, "repeat", "plain", {"value": "once"}, "one key", 20)["result"]
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_what_only_the_hosted_service_had_is_refused_plainly(api):
    answer = call(api, LATEST, "sleep")
    assert (answer["statusCode"], answer["errorCode"]) == (404, "route_not_found")
    assert "/v0/sleeps/create" in answer["message"]
