"""Operations of this project's own, below `/ext/v0`: what the API lacks and a server of it should have."""

from __future__ import annotations

import msgspec

from ....version import __version__
from ...authoring.decorators import Runbook, Runnable
from ...errors import Invalid
from ...service import sessions
from ...service.catalog import runbooks, tasks
from ...service.services import Services
from .handlers import (
    Call,
    Handler,
    absent,
    read_body,
)
from .schemas import Body, Json, parameters_json


class CancelSessionBody(Body, rename="camel"):
    """Body of `sessions/cancel` and `sessions/delete`."""

    session_id: str | None = msgspec.field(default=None, name="sessionID")


def cancel_session(services: Services, call: Call) -> Json:
    """Cancel a session."""
    body = read_body(call, CancelSessionBody)
    sessions.cancel(services, body.id or body.session_id or absent("id"), call.caller)
    return {}


class FailSessionBody(CancelSessionBody, rename="camel"):
    """Body of `sessions/fail`."""

    reason: str | None = None


def fail_session(services: Services, call: Call) -> Json:
    """Fail a session that is held."""
    body = read_body(call, FailSessionBody)
    message = body.reason or "an operator has failed the session while it was held"
    sessions.fail(services, body.id or body.session_id or absent("id"), message, call.caller)
    return {}


class ReleaseSessionsBody(CancelSessionBody, rename="camel"):
    """Body of `sessions/release`: one session by its ID, or `all` of them."""

    all: bool = False


def release_sessions(services: Services, call: Call) -> Json:
    """Let sessions go on that are held since the database was restored."""
    body = read_body(call, ReleaseSessionsBody)
    session_id = body.id or body.session_id
    if body.all == (session_id is not None):
        raise Invalid("missing_field", "either id or all is required")
    if session_id is None:
        return {"released": sessions.release_all(services, call.caller)}
    sessions.release(services, session_id, call.caller)
    return {"released": 1}


def delete_session(services: Services, call: Call) -> Json:
    """Delete a session that has ended."""
    body = read_body(call, CancelSessionBody)
    sessions.delete(services, body.id or body.session_id or absent("id"), call.caller)
    return {}


def list_runbooks(services: Services, call: Call) -> Json:  # noqa: ARG001 - a handler
    """Show the runbooks that are served."""
    return {"runbooks": [_runbook(runbook) for runbook in runbooks(services)]}


def list_tasks(services: Services, call: Call) -> Json:  # noqa: ARG001 - a handler
    """Show the tasks that are served."""
    return {"tasks": [_runnable(task) for task in tasks(services)]}


def get_version(services: Services, call: Call) -> Json:  # noqa: ARG001 - a handler
    """Show the version of the server."""
    return {"version": __version__}


EXTENSIONS: dict[tuple[str, str], Handler] = {
    ("POST", "/sessions/cancel"): cancel_session,
    ("POST", "/sessions/fail"): fail_session,
    ("POST", "/sessions/release"): release_sessions,
    ("POST", "/sessions/delete"): delete_session,
    ("GET", "/runbooks/list"): list_runbooks,
    ("GET", "/tasks/list"): list_tasks,
    ("GET", "/version"): get_version,
}


def _runbook(runbook: Runbook[..., object]) -> Json:
    schema = runbook.result_schema
    optional = {"resultSchema": schema, "confirm": runbook.confirm or None}
    return _runnable(runbook) | {name: value for name, value in optional.items() if value is not None}


def _runnable(item: Runnable[..., object]) -> Json:
    return {
        "id": item.id,
        "slug": item.slug,
        "name": item.name,
        "description": item.description,
        "parameters": {"parameters": parameters_json(item.parameters)},
    }
