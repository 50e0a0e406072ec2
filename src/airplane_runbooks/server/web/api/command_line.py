"""Operations that the official command line needs besides the documented ones: what there is, and how a run gets on."""

from __future__ import annotations

import msgspec

from ....models import LogSeverity
from ...authoring.decorators import Runbook, Task
from ...service import catalog, logs, runs, sessions
from ...service.services import Services
from ...storage.encoding import decode
from ...storage.ids import TEAM, stable_id, stamp
from ...storage.log_lines import LogPosition
from ...storage.records import Run, RunKind
from ...storage.rows import LEFT_OUT
from .handlers import (
    Call,
    Handler,
    environment,
    optional,
    required,
)
from .query import invalid_parameter
from .schemas import Json, log_line_json, parameters_json, timeout_json


def get_task(services: Services, call: Call) -> Json:
    """Show a task that is served."""
    catalog.find_environment(services, environment(call))
    return _task(services, catalog.find_task(services, _names(call, "slug", "id")))


def list_tasks(services: Services, call: Call) -> Json:
    """Show the tasks that are served."""
    catalog.find_environment(services, environment(call))
    return {"tasks": [_task(services, task) for task in catalog.tasks(services)]}


def get_runbook(services: Services, call: Call) -> Json:
    """Show a runbook that is served."""
    catalog.find_environment(services, environment(call))
    runbook = catalog.find_runbook(services, _names(call, "runbookSlug", "id"))
    return {
        "runbook": {
            "id": runbook.id,
            "name": runbook.name,
            "slug": runbook.slug,
            "parameters": {"parameters": parameters_json(runbook.parameters)},
            "templateSession": {"id": _template(runbook), "configs": [], "constraints": {"labels": []}},
        }
    }


def list_blocks(services: Services, call: Call) -> Json:
    """Show the steps and prompts that a session has come to; a runbook's template has none, as code decides on them."""
    session_id = required(call, "sessionID")
    if any(session_id == _template(runbook) for runbook in catalog.runbooks(services)):
        return {"blocks": []}
    steps = services.store.outline(sessions.find(services, session_id).run_id)
    held = {run.id: run for run in services.store.brief([step.id for step in steps])}
    return {"blocks": [_block(services, held[step.id]) for step in steps if step.id in held]}


def get_logs(services: Services, call: Call) -> Json:
    """Show what a step or task has written, after the lines that the caller knows."""
    run = runs.find_brief(services, required(call, "runID", "id"))
    given = optional(call, "prev_token") or optional(call, "next_token") or ""
    try:
        after = LogPosition.parse(given) if given else LogPosition()
    except ValueError:
        invalid_parameter("prev_token", "expected a token of an earlier reply")
    page = logs.read(services, run.id, after)
    shows_debug = optional(call, "level") == "debug"
    lines = [
        log_line_json(position, line, run.slug)
        for position, line in page.lines
        if shows_debug or line.severity is not LogSeverity.DEBUG
    ]
    token = str(page.lines[-1][0]) if page.lines else given
    return {"runID": run.id, "logs": lines, "next_token": token if page.has_more else "", "prev_token": token}


def get_auth(services: Services, call: Call) -> Json:  # noqa: ARG001 - a handler
    """Show who the key belongs to; the server's own key belongs to no user."""
    user = call.caller.user
    known = {"id": user.id, "email": user.email, "name": user.name} if user.email else None
    return {"user": known, "team": {"id": TEAM, "name": "local"}}


COMMAND_LINE: dict[tuple[str, str], Handler] = {
    ("GET", "/tasks/get"): get_task,
    ("GET", "/tasks/list"): list_tasks,
    ("GET", "/runbooks/get"): get_runbook,
    ("GET", "/sessions/listBlocks"): list_blocks,
    ("GET", "/runs/getLogs"): get_logs,
    ("GET", "/auth/info"): get_auth,
}


def _names(call: Call, slug: str, id_: str) -> dict[str, str]:
    given = {"slug": optional(call, slug), "id": optional(call, id_)}
    return {key: name for key, name in given.items() if name}


def _task(services: Services, task: Task[..., object]) -> Json:
    served_since = stamp(services.since)
    return {
        "taskID": task.id,
        "name": task.name,
        "slug": task.slug,
        "description": task.description,
        "parameters": {"parameters": parameters_json(task.parameters)},
        "timeout": timeout_json(task.timeout),
        "isArchived": False,
        "createdAt": served_since,
        "updatedAt": served_since,
    }


def _template(runbook: Runbook[..., object]) -> str:
    """Return the ID of the session that a runbook's sessions are thought to be copies of; it is never executed."""
    return stable_id("ses", runbook.id)


def _block(services: Services, run: Run) -> Json:
    match run.kind:
        case RunKind.PROMPT:
            kind, config = "form", _form(services, run)
        case RunKind.DISPLAY:
            kind, config = "note", {"content": _markdown(run.output)}
        case _:
            kind, config = "task", _call(run)
    return {"id": run.id, "kind": kind, "kindConfig": {kind: config}, "startCondition": "", "slug": run.slug}


def _markdown(document: bytes) -> str:
    if document == LEFT_OUT:
        return "Too long for a list; `runs/getOutputs` returns it."
    value = decode(document)
    return value if isinstance(value, str) else f"```json\n{document.decode()}\n```"


def _call(run: Run) -> Json:
    return {"taskID": run.task_id, "paramValues": msgspec.Raw(run.param_values)}


def _form(services: Services, run: Run) -> Json:
    (prompt,) = services.store.prompts(run.id)
    return {
        "parameters": {"parameters": parameters_json(prompt.parameters)},
        "paramValues": msgspec.Raw(prompt.values),
    }
