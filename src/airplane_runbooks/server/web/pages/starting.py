"""Views that start runbooks: the list of those served, and the form of each."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from ....schema.reading import CheckedValues
from ...authoring.decorators import Runbook
from ...errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from ...secrets.masking import hide_all
from ...service import sessions
from ...service.catalog import find_environment, find_runbook, runbooks
from ...service.idempotency import answer_once
from ...service.services import Caller, Services, StartRequest
from ...storage.encoding import decode
from ...storage.idempotency import StoredReply
from ...storage.ids import new_seed
from . import forms, signing
from .interface import PageContext, PageRequest, PageResponse, Redirect
from .references import keep_files, with_names
from .widgets import Choice

_KEY = re.compile("[0-9a-f]{32}")
_MOST_RADIOS = 5
_NOT_AGREED = "Tick the box to agree before it starts."
_USED = "This form has started a session before, with other values. Press Start again to start one with these."


def runbook_list(context: PageContext, request: PageRequest) -> PageResponse:
    """List the runbooks that are served."""
    del request
    served = sorted(runbooks(context.services), key=lambda one: (one.name.lower(), one.slug))
    return PageResponse("runbooks.html", {"runbooks": [(one, one.description.partition("\n")[0]) for one in served]})


def start_form(context: PageContext, request: PageRequest) -> PageResponse:
    """Show a runbook and the form that starts it, filled in as the link says or as an earlier session was."""
    runbook = _find(context.services, request)
    parameters = with_names(context.services, hide_all(runbook.parameters))
    environment = request.query.get("envSlug") or find_environment(context.services, None)
    if session_id := request.query.get("sessionID"):
        session, root, _ = sessions.find_with_root(context.services, session_id)
        fields = forms.of_values(parameters, decode(session.param_values))
        environment = request.query.get("envSlug") or root.env_slug
    else:
        fields = forms.of_link(parameters, request.texts)
    return _form(context, request, runbook, [_environment(context.services, environment), *fields])


def start(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """Start a session once for each form, and show it."""
    runbook = _find(context.services, request)
    if not signing.has_form_token(request.signed_in_user, runbook.id, request.field("token")):
        raise Forbidden("wrong_form", "This form was not made for you, or it is out of date. Nothing was started.")
    key = request.field("key")
    if not _KEY.fullmatch(key):
        raise Invalid("invalid_form", "The form has lost its key. Nothing was started.")
    parameters = with_names(context.services, hide_all(runbook.parameters))
    posted: forms.Posted = request.fields
    no_room = ""
    try:
        posted = keep_files(context.services, request, parameters, key)
    except TooLarge as problem:
        no_room = problem.message
    filled = forms.fill(parameters, posted)
    has_choice = _has_choice(context.services)
    environment = request.field("environment").strip() if has_choice else find_environment(context.services, None)
    fields = [_environment(context.services, environment), *filled.fields]
    not_agreed = _NOT_AGREED if runbook.confirm and not request.field("confirmed") else ""
    if not_agreed or no_room or any(field.error for field in fields):
        return _form(context, request, runbook, fields, status=422, key=key, problem=no_room, not_agreed=not_agreed)
    values = filled.values.json if isinstance(filled.values, CheckedValues) else filled.values
    asked = StartRequest(names={"id": runbook.id}, values=values, env_slug=environment)
    try:
        return Redirect(f"/sessions/{_start_once(context.services, asked, key, request)}")
    except (Invalid, NotFound) as problem:
        return _form(context, request, runbook, fields, status=422, key=key, problem=problem.message)
    except Conflict:
        return _form(context, request, runbook, fields, status=409, problem=_USED)


def _find(services: Services, request: PageRequest) -> Runbook[..., Any]:
    return find_runbook(services, {"slug": request.path["slug"]})


def _start_once(services: Services, asked: StartRequest, key: str, request: PageRequest) -> str:
    """Return the ID of the session that the form with this key has started, or starts now."""
    fingerprint = sha256(msgspec.json.encode([asked.names, asked.values, asked.env_slug])).digest()

    def handle(unit: Services, caller: Caller) -> StoredReply:
        return StoredReply(303, sessions.start(unit, asked, caller).id.encode())

    caller = Caller(request.signed_in_user, new_seed())
    return answer_once(services, f"page:{key}", fingerprint, caller, handle).body.decode()


def _environment(services: Services, slug: str) -> forms.Field:
    """Return the field for the environment: a choice if the server has a list of them."""
    slugs = services.environments
    field: dict[str, Any] = {"name": "environment", "label": "Environment", "description": "", "texts": [slug]}
    if slugs is None:
        return forms.Field(**field, control="text", required=True, error="" if slug else "Enter a value.")
    choices = [Choice(one, one) for one in slugs]
    error = "" if slug in slugs else "Choose one of those on the list."
    control = "radios" if len(slugs) <= _MOST_RADIOS else "select"
    return forms.Field(**field, control=control, choices=choices, required=True, error=error)


def _has_choice(services: Services) -> bool:
    return services.environments is None or len(services.environments) > 1


def _form(
    context: PageContext,
    request: PageRequest,
    runbook: Runbook[..., Any],
    fields: Sequence[forms.Field],
    *,
    status: int = 200,
    key: str = "",
    problem: str = "",
    not_agreed: str = "",
) -> PageResponse:
    values: Mapping[str, Any] = {
        "runbook": runbook,
        "environment": fields[0],
        "asks_environment": _has_choice(context.services),
        "fields": fields[1:],
        "errors": [field for field in fields if field.error],
        "problem": problem[:1].upper() + problem[1:],
        "not_agreed": not_agreed,
        "agreed": bool(request.field("confirmed")),
        "was_sent": status != 200,
        "repeats": request.query.get("sessionID", ""),
        "key": key or secrets.token_hex(16),
        "token": signing.form_token(request.signed_in_user, runbook.id),
    }
    return PageResponse("runbook.html", values, status)
