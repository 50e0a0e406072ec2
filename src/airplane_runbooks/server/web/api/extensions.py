"""Operations of this project's own, below `/ext/v0`: what the API lacks and a server of it should have."""

from __future__ import annotations

import msgspec

from ...authoring.decorators import Runnable
from ...errors import Conflict
from ...service.backend import Backend
from .handlers import (
    Call,
    Handler,
    absent,
    read_body,
)
from .schemas import Body, Json, parameters_json


class CancelSessionBody(Body, rename="camel"):
    """Body of `sessions/cancel`."""

    session_id: str | None = msgspec.field(default=None, name="sessionID")


def cancel_session(backend: Backend, call: Call) -> Json:
    """Cancel a session."""
    body = read_body(call, CancelSessionBody)
    session = backend.session(body.id or body.session_id or absent("id"))
    try:
        backend.cancel_run(session.run_id, call.origin)
    except Conflict:
        status = backend.session(session.id).status.value
        raise Conflict("session_finished", f"the session has ended or been cancelled already: {status}") from None
    return {}


class FailSessionBody(CancelSessionBody, rename="camel"):
    """Body of `sessions/fail`."""

    reason: str | None = None


def fail_session(backend: Backend, call: Call) -> Json:
    """Fail a session that is held."""
    body = read_body(call, FailSessionBody)
    session = backend.session(body.id or body.session_id or absent("id"))
    backend.fail_session(session.id, body.reason or "an operator has failed the session while it was held", call.origin)
    return {}


def list_runbooks(backend: Backend, call: Call) -> Json:  # noqa: ARG001 - a handler
    """Show the runbooks that are served."""
    return {"runbooks": [_runnable(runbook) for runbook in backend.runbooks]}


def list_tasks(backend: Backend, call: Call) -> Json:  # noqa: ARG001 - a handler
    """Show the tasks that are served."""
    return {"tasks": [_runnable(task) for task in backend.tasks]}


EXTENSIONS: dict[tuple[str, str], Handler] = {
    ("POST", "/sessions/cancel"): cancel_session,
    ("POST", "/sessions/fail"): fail_session,
    ("GET", "/runbooks/list"): list_runbooks,
    ("GET", "/tasks/list"): list_tasks,
}


def _runnable(item: Runnable[..., object]) -> Json:
    return {
        "id": item.id,
        "slug": item.slug,
        "name": item.name,
        "description": item.description,
        "parameters": {"parameters": parameters_json(item.parameters)},
    }
