"""JSON of the API: the bodies of requests, and the records in replies.

Clients of different ages read different keys, and fail if a key is missing. So a reply has all of them, with null where
there is no value.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import msgspec

from ....models import LogSeverity, Parameter, RunStatus
from ....schema.types import type_of
from ...secrets.masking import hide
from ...storage.ids import TEAM, stamp
from ...storage.log_lines import LogLine, LogPosition
from ...storage.records import Failure, Prompt, Run, Session
from ...storage.rows import LEFT_OUT, from_microseconds

_TIMEOUT = 3600  # seconds; the API's documented default, although a run without a limit is never cut off here

Json = dict[str, Any]


class Body(msgspec.Struct, rename="camel"):
    """Base of the bodies. Every field may be null, and unknown fields are ignored."""

    id: str | None = None
    env_slug: str | None = None


class ExecuteBody(Body, rename="camel"):
    """Body of `runbooks/execute` and `tasks/execute`."""

    slug: str | None = None
    task_id: str | None = msgspec.field(default=None, name="taskID")
    param_values: dict[str, Any] | None = None
    resources: dict[str, str | None] | None = None


class CreateRunBody(ExecuteBody, rename="camel"):
    """Body of `runs/create`."""

    params: dict[str, Any] | None = None


class CancelRunBody(Body, rename="camel"):
    """Body of `runs/cancel`."""

    run_id: str | None = msgspec.field(default=None, name="runID")


class PromptBody(Body, rename="camel"):
    """Body of `prompts/submit` and `prompts/cancel`."""

    values: dict[str, Any] | None = None


def session_json(session: Session) -> Json:
    """Return the JSON of a session."""
    return {
        "id": session.id,
        "name": session.name,
        "runbookID": session.runbook_id,
        "status": session.status,
        "paramValues": msgspec.Raw(session.param_values),
        "params": parameters_json(session.params),
        "isPrivate": False,
        "permissions": [],
        "teamID": TEAM,
        "createdAt": stamp(session.created_at),
        "createdBy": session.created_by,
        "updatedAt": stamp(session.updated_at),
        "updatedBy": session.created_by,
    }


def run_json(run: Run, *, waiting: bool) -> Json:
    """Return the JSON of a run, in one flat object for the readers of both shapes; `waiting` if a prompt is open."""
    parameters = parameters_json(run.params)
    return {
        "id": run.id,
        "runID": run.id,
        "taskID": run.task_id,
        "taskSlug": run.slug,
        "taskName": run.name,
        "sessionID": run.session_id,
        "parentID": run.root_id,
        "teamID": TEAM,
        "status": run.status,
        "runtime": "standard" if run.session_id is None else "workflow",
        "timeout": timeout_json(run.timeout),
        "paramValues": msgspec.Raw(run.param_values),
        "params": parameters,
        "parameters": {"parameters": parameters},
        "resources": run.resources,
        "constraints": {"labels": []},
        "isPrivate": False,
        "permissions": [],
        "envSlug": run.env_slug,
        "isWaitingForUser": waiting,
        "createdAt": stamp(run.created_at),
        "createdBy": run.created_by,
        "creatorID": run.created_by,
        "queuedAt": stamp(run.created_at),
        "activeAt": stamp(run.active_at),
        **_ends(run),
        "cancelledBy": run.cancelled_by,
        "zoneID": None,
        "kind": run.kind,
        "attempt": run.attempt,
        "error": failure_json(run.failure),
        "earlierFailures": [msgspec.structs.asdict(failure) for failure in run.earlier_failures or ()],
    }


def timeout_json(timeout: float | None) -> int:
    """Return a time limit in whole seconds, as the API has them."""
    return _TIMEOUT if timeout is None else ceil(timeout)


def _ends(run: Run) -> Json:
    ends = {"succeededAt": RunStatus.SUCCEEDED, "failedAt": RunStatus.FAILED, "cancelledAt": RunStatus.CANCELLED}
    return {key: stamp(run.ended_at) if run.status is status else None for key, status in ends.items()}


def result_json(root: Run) -> Json:
    """Return the members of a session that show its result, or the reason for which it has none.

    A result that is too long for a list is left out; it is the output of the root run.
    """
    told = {"runID": root.id, "error": failure_json(root.failure)}
    if root.status is not RunStatus.SUCCEEDED:
        return {**told, "output": None}
    return told if root.output == LEFT_OUT else {**told, "output": msgspec.Raw(root.output)}


def failure_json(failure: Failure | None) -> Json | None:
    """Return the JSON of a failure."""
    if failure is None:
        return None
    return {
        "kind": failure.kind,
        "message": failure.message,
        "step": failure.step,
        "stepRunID": failure.step_run_id,
    }


def outputs_json(run: Run) -> Json:
    """Return the JSON of a run's output, null until it has ended."""
    output = msgspec.Raw(run.output)
    return {"output": output, "outputs": output}


def log_line_json(position: LogPosition, line: LogLine, slug: str) -> Json:
    """Return the JSON of a line of the log of a run with this slug. Other clients know two levels only."""
    return {
        "timestamp": stamp(from_microseconds(line.at)),
        "insertID": str(position),
        "text": line.text,
        "level": "debug" if line.severity is LogSeverity.DEBUG else "info",
        "taskSlug": slug,
        "severity": line.severity,
        "stream": line.stream,
        "attempt": line.attempt,
    }


def prompt_json(prompt: Prompt) -> Json:
    """Return the JSON of a prompt."""
    submitted = prompt.submitted_at is not None
    return {
        "id": prompt.id,
        "runID": prompt.run_id,
        "schema": {"parameters": parameters_json(prompt.parameters)},
        "values": msgspec.Raw(prompt.values),
        "reviewers": {
            "groups": prompt.reviewers.groups,
            "users": prompt.reviewers.users,
            "allowSelfApprovals": prompt.reviewers.allow_self_approvals,
        },
        "description": prompt.description,
        "confirmText": prompt.confirm_text,
        "cancelText": prompt.cancel_text,
        "createdAt": stamp(prompt.created_at),
        "submittedAt": stamp(prompt.submitted_at),
        "submittedBy": prompt.answered_by if submitted else None,
        "cancelledAt": stamp(prompt.cancelled_at),
        "cancelledBy": None if submitted else prompt.answered_by,
    }


def parameters_json(parameters: tuple[Parameter, ...]) -> list[Json]:
    """Return the JSON of a schema."""
    return [_parameter(hide(parameter)) for parameter in parameters]


def _parameter(parameter: Parameter) -> Json:
    limits = parameter.constraints
    has_secret_default = parameter.secret and parameter.default is not None
    written: Json = {
        "slug": parameter.slug,
        "name": parameter.name,
        "desc": parameter.desc,
        "type": type_of(parameter.type).name_on_the_wire or parameter.type,
        "component": parameter.component,
        "default": None if has_secret_default else parameter.default,
        "constraints": {
            "optional": limits.optional or has_secret_default,  # it may be left out
            "regex": limits.regex,
            "options": limits.options,
        },
        "multi": parameter.multi,
    }
    if parameter.secret:
        written["secret"] = True
    if parameter.values is not None:
        written["values"] = _parameter(parameter.values)
    return written
