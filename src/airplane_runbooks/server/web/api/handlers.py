"""One function per operation: from a call's query, headers and body to the JSON of its reply."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec

from ....models.base import decoder_of
from ...errors import Invalid
from ...service import prompts, runs, sessions
from ...service.services import Caller, Services, StartRequest
from ...storage.interface import MAX_PAGE, RunQuery, SessionQuery
from .objects import prompt_with_hold_json, runs_json, sessions_json
from .query import parse_number, parse_time
from .schemas import (
    Body,
    CancelRunBody,
    CreateRunBody,
    ExecuteBody,
    Json,
    PromptBody,
    outputs_json,
)

BodyT = TypeVar("BodyT", bound=Body)

_LAST_PAGE = 1_000_000_000


class Call(NamedTuple):
    """A call: its query and headers (names in lower case), its decompressed body, and its caller."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller


Handler = Callable[[Services, Call], Any]


def execute_runbook(services: Services, call: Call) -> Json:
    """Start a session."""
    body = read_body(call, ExecuteBody)
    session = sessions.start(services, _request(call, body, body.param_values), call.caller)
    return {"sessionID": session.id}


def execute_task(services: Services, call: Call) -> Json:
    """Start a run of a task."""
    body = read_body(call, ExecuteBody)
    return _start(services, call, body, body.param_values)


def create_run(services: Services, call: Call) -> Json:
    """Start a run of a task, as the clients of 2021 do."""
    body = read_body(call, CreateRunBody)
    return _start(services, call, body, body.params or body.param_values)


def list_sessions(services: Services, call: Call) -> Json:
    """Show a page of sessions."""
    query = SessionQuery(
        runbook_id=optional(call, "runbookID"),
        since=parse_time(call.query, "updatedAfter"),
        until=parse_time(call.query, "updatedBefore"),
        limit=parse_number(call.query, "limit", MAX_PAGE) or MAX_PAGE,
        page=parse_number(call.query, "page", _LAST_PAGE),
    )
    return {"sessions": sessions_json(services, services.store.sessions(query))}


def get_outputs(services: Services, call: Call) -> Json:
    """Show the output of a run."""
    return outputs_json(runs.find(services, required(call, "id", "runID")))


def list_runs(services: Services, call: Call) -> Json:
    """Show a page of runs."""
    query = RunQuery(
        task_id=optional(call, "taskID"),
        task_slug=optional(call, "taskSlug"),
        session_id=optional(call, "sessionID"),
        env_slug=optional(call, "envSlug"),
        since=parse_time(call.query, "since"),
        until=parse_time(call.query, "until"),
        limit=parse_number(call.query, "limit", MAX_PAGE) or MAX_PAGE,
        page=parse_number(call.query, "page", _LAST_PAGE),
    )
    return {"runs": runs_json(services, services.store.runs(query))}


def cancel_run(services: Services, call: Call) -> Json:
    """Cancel a run."""
    body = read_body(call, CancelRunBody)
    runs.cancel(services, body.run_id or body.id or absent("runID"), call.caller)
    return {}


def list_prompts(services: Services, call: Call) -> Json:
    """Show the prompts of a run."""
    found, root = prompts.of_run(services, required(call, "runID", "id"))
    return {"prompts": [prompt_with_hold_json(prompt, root) for prompt in found]}


def submit_prompt(services: Services, call: Call) -> Json:
    """Answer a prompt."""
    body = read_body(call, PromptBody)
    prompt_id = body.id or absent("id")
    prompts.submit(services, prompt_id, body.values or {}, call.caller)
    return {"id": prompt_id}


def cancel_prompt(services: Services, call: Call) -> Json:
    """Cancel a prompt."""
    prompt_id = read_body(call, PromptBody).id or absent("id")
    prompts.cancel(services, prompt_id, call.caller)
    return {"id": prompt_id}


OPERATIONS: dict[tuple[str, str], Handler] = {
    ("POST", "/runbooks/execute"): execute_runbook,
    ("POST", "/tasks/execute"): execute_task,
    ("GET", "/sessions/list"): list_sessions,
    ("GET", "/runs/getOutputs"): get_outputs,
    ("GET", "/runs/list"): list_runs,
    ("POST", "/runs/cancel"): cancel_run,
    ("GET", "/prompts/list"): list_prompts,
    ("POST", "/prompts/submit"): submit_prompt,
    ("POST", "/prompts/cancel"): cancel_prompt,
    ("POST", "/runs/create"): create_run,
}


def _start(services: Services, call: Call, body: ExecuteBody, values: dict[str, Any] | None) -> Json:
    run = runs.start(services, _request(call, body, values), call.caller)
    return {"runID": run.id, "isCached": False}


def read_body(call: Call, kind: type[BodyT]) -> BodyT:
    """Decode the body of a call; an empty one is an empty object. Raises Invalid."""
    try:
        body: BodyT = decoder_of(kind).decode(call.body.removeprefix(BOM_UTF8) or b"{}")
        return body
    except UnicodeDecodeError:
        raise Invalid("invalid_json", "the body is not UTF-8") from None
    except RecursionError:
        raise Invalid("invalid_json", "the body is nested too deeply") from None
    except msgspec.ValidationError as problem:
        raise Invalid("invalid_body", str(problem)) from None
    except msgspec.DecodeError as problem:
        raise Invalid("invalid_json", f"the body is not JSON: {problem}") from None


def _request(call: Call, body: ExecuteBody, values: dict[str, Any] | None) -> StartRequest:
    given = {"id": body.id or body.task_id, "slug": body.slug}
    return StartRequest(
        names={key: name for key, name in given.items() if name},
        values=values or {},
        env_slug=environment(call, body),
        resources={alias: resource for alias, resource in (body.resources or {}).items() if resource},
    )


def environment(call: Call, body: Body | None = None) -> str | None:
    """Find the environment: what is said of this one call wins over what a client says of all its calls."""
    return (
        call.query.get("envSlug")
        or (body and body.env_slug)
        or call.headers.get("x-airplane-env-slug")
        or call.headers.get("x-airplane-env-id")
        or None
    )


def required(call: Call, *keys: str) -> str:
    """Return what the query says under the first of these keys that it has. Raises Invalid."""
    return next(filter(None, (optional(call, key) for key in keys)), None) or absent(" or ".join(keys))


def optional(call: Call, key: str) -> str | None:
    """Return what the query says, None if it is empty."""
    return call.query.get(key) or None


def absent(key: str) -> NoReturn:
    """Refuse a call that lacks a field."""
    raise Invalid("missing_field", f"{key} is required")
