"""A program on top of the official Python SDK: `python_client.py ACTION ARGUMENT...`, arguments in JSON."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timezone

import airplane
from airplane.api.client import api_client_from_env
from airplane.exceptions import HTTPError, PromptCancelledError, RunTerminationException
from airplane.runtime.standard import get_prompt, wait_for_prompt

UTC = timezone.utc  # noqa: UP017 - the SDK runs on older Pythons, too


def execute(slug, values):
    run = airplane.execute(slug, values)
    return {
        "id": run.id,
        "task_id": run.task_id,
        "values": run.param_values,
        "status": run.status.value,
        "output": run.output,
        "is_cached": run.is_cached,
    }


def typed():
    moment = datetime(2022, 2, 3, 4, 5, 6, tzinfo=UTC)
    return execute("typed", {"day": date(2022, 2, 3), "moment": moment, "tags": ["a", "b"]})


def display():
    return airplane.display.text("hello")


ACTIONS = {
    "execute": execute,
    "typed": typed,
    "display": display,
    "run": airplane.run,
    "get_run": lambda run_id: api_client_from_env().get_run(run_id),
    "get_prompt": get_prompt,
    "wait_for_prompt": wait_for_prompt,
}

try:
    result = {"result": ACTIONS[sys.argv[1]](*map(json.loads, sys.argv[2:]))}
except HTTPError as problem:
    result = {"error": problem.message, "status": problem.status_code, "code": problem.error_code}
except (RunTerminationException, PromptCancelledError) as problem:
    result = {"error": str(problem), "kind": type(problem).__name__}
print(json.dumps(result))  # noqa: T201 - its one output
