"""One function per page: from a visit to a template with its values."""

from __future__ import annotations

import re
import time
from typing import Any

from ....models import SessionStatus
from ...errors import Conflict, Forbidden, Invalid
from ...service import prompts, runs
from ...service import sessions as session_service
from ...service.catalog import runbooks
from ...service.services import Caller
from ...storage.ids import API_USER, new_seed
from ...storage.interface import SessionQuery
from ...storage.records import Prompt
from . import forms, signing
from .interface import (
    PageContext,
    PageRequest,
    PageResponse,
    Redirect,
)
from .view_models import (
    describe_parameters,
    describe_prompt,
    describe_session,
    session_secrets,
)

_SESSIONS_ON_A_PAGE = 25
_FAILED = "an operator has failed the session while it was held"
_LIST_REFRESH = 10  # seconds
_SESSION_REFRESH = 5
_ADDRESS = re.compile(r"/((sessions|prompts)/[A-Za-z0-9]{1,60})?", re.ASCII)


def sessions(site: PageContext, visit: PageRequest) -> PageResponse:
    """List the sessions, newest first."""
    page = _page(visit) or 1
    runbook = visit.query.get("runbook", "")
    status = next((one for one in SessionStatus if one == visit.query.get("status")), None)
    query = SessionQuery(runbook_id=runbook or None, status=status, limit=_SESSIONS_ON_A_PAGE, page=page - 1)
    found = site.services.store.sessions(query)
    values = {
        "sessions": [(session, site.users.name(session.created_by)) for session in found],
        "runbooks": sorted(((one.id, one.name) for one in runbooks(site.services)), key=lambda item: item[1].lower()),
        "runbook": runbook,
        "statuses": list(SessionStatus),
        "status": status or "",
        "page": page,
        "is_last": len(found) < _SESSIONS_ON_A_PAGE,
        "live": visit.is_live,
        "refresh": _LIST_REFRESH if visit.is_live else 0,
    }
    return PageResponse("sessions.html", values)


def session(site: PageContext, visit: PageRequest) -> PageResponse:
    """Show a session."""
    record = session_service.find(site.services, visit.path["id"])
    shown = describe_session(site.services, site.users, record, _page(visit))
    is_live = visit.is_live and not shown.status.is_terminal
    values = {
        "session": shown,
        "live": visit.is_live,
        "refresh": _SESSION_REFRESH if is_live else 0,
        "token": signing.form_token(visit.signed_in_user, record.id),
        "may_fail": visit.signed_in_user.id == API_USER,
    }
    return PageResponse("session.html", values)


def end_session(site: PageContext, visit: PageRequest) -> Redirect:
    """Cancel or fail a session that is held, and show what has become of it."""
    record = session_service.find(site.services, visit.path["id"])
    if not signing.has_form_token(visit.signed_in_user, record.id, visit.posted("token")):
        raise Forbidden("wrong_form", "This form was not made for you, or it is out of date. Nothing was changed.")
    caller = Caller(visit.signed_in_user, new_seed())
    match visit.posted("action"):
        case "cancel":
            runs.cancel(site.services, record.run_id, caller)
        case "fail":
            session_service.fail(site.services, record.id, _FAILED, caller)
        case _:
            raise Invalid("invalid_form", "The form does not say what to do.")
    return Redirect(f"/sessions/{record.id}")


def prompt(site: PageContext, visit: PageRequest) -> PageResponse:
    """Show a prompt: as a form, if it is open and the user may answer it."""
    record = prompts.find(site.services, visit.path["id"])
    return _prompt(site, visit, record, forms.blank(record.parameters))


def answer_prompt(site: PageContext, visit: PageRequest) -> PageResponse | Redirect:
    """Submit or cancel a prompt, and go to its session."""
    record = prompts.find(site.services, visit.path["id"])
    if not signing.has_form_token(visit.signed_in_user, record.id, visit.posted("token")):
        text = "This form was not made for you, or it is out of date. Nothing was changed; open the prompt again."
        raise Forbidden("wrong_form", text)
    caller = Caller(visit.signed_in_user, new_seed())
    try:
        match visit.posted("action"):
            case "cancel":
                prompts.cancel(site.services, record.id, caller)
            case "submit":
                if refused := _submit(site, visit, record, caller):
                    return refused
            case _:
                raise Invalid("invalid_form", "The form does not say what to do.")
    except Conflict:
        return _prompt(site, visit, prompts.find(site.services, record.id), (), status=409)
    return Redirect(f"/sessions/{runs.find(site.services, record.run_id).session_id}")


def _submit(site: PageContext, visit: PageRequest, record: Prompt, caller: Caller) -> PageResponse | None:
    """Submit what was typed, or return the form with what is wrong about it."""
    prompts.check_reviewer(site.services, record, caller.user)
    if not record.is_open or record.is_late or runs.why_held(site.services, record.run_id):
        prompts.submit(site.services, record.id, {}, caller)
    filled = forms.fill(record.parameters, visit.form)
    if filled.errors:
        return _prompt(site, visit, record, filled.fields, status=422)
    try:
        prompts.submit(site.services, record.id, filled.values, caller)
    except Invalid as problem:
        return _prompt(site, visit, record, filled.fields, status=422, problem=problem.message)
    return None


def _prompt(
    site: PageContext, visit: PageRequest, record: Prompt, fields: Any, *, status: int = 200, problem: str = ""
) -> PageResponse:
    run = runs.find(site.services, record.run_id)
    session = session_service.find(site.services, run.session_id or "")
    objection = ""
    try:
        prompts.check_reviewer(site.services, record, visit.signed_in_user)
    except Forbidden as refusal:
        objection = refusal.message
    values = {
        "prompt": describe_prompt(record, site.users, session_secrets(session, [record])),
        "session": session,
        "started_by": site.users.name(session.created_by),
        "parameters": describe_parameters(session),
        "fields": fields,
        "errors": [field for field in fields if field.error],
        "problem": problem,
        "objection": objection,
        "held": runs.why_held(site.services, record.run_id) if record.is_open else None,
        "too_late": status == 409,
        "token": signing.form_token(visit.signed_in_user, record.id),
    }
    return PageResponse("prompt.html", values, status)


def ask_for_key(site: PageContext, visit: PageRequest) -> PageResponse | Redirect:
    """Show the form to sign in."""
    del site
    address = _address(visit.query.get("next", ""))
    return Redirect(address) if visit.user else PageResponse("sign_in.html", {"next": address, "error": ""})


def sign_in(site: PageContext, visit: PageRequest) -> PageResponse | Redirect:
    """Sign somebody in who knows an API key."""
    address = _address(visit.posted("next"))
    key = visit.posted("key").strip()
    user = site.users.find(key)
    if user is None:
        return _refuse_key(site, visit, key, address)
    site.services.emitter.signed_in(user.id, visit.client)
    return Redirect(address, cookie=signing.sign_in_cookie(user, key, time.time()))


def _refuse_key(site: PageContext, visit: PageRequest, key: str, address: str) -> PageResponse:
    refusal = site.guesses.refusal(key, visit.client)
    site.services.emitter.sign_in_refused(visit.client, refusal.code)
    if refusal.retry_after is None:
        return PageResponse("sign_in.html", {"next": address, "error": "This is no API key of this server."}, 403)
    error = "There were too many wrong keys lately, and this is one of them. Try the right one."
    return PageResponse(
        "sign_in.html", {"next": address, "error": error}, 429, {"Retry-After": str(refusal.retry_after)}
    )


def sign_out(site: PageContext, visit: PageRequest) -> PageResponse | Redirect:
    """End a sign-in for good, wherever its cookie may have got to."""
    if not signing.has_form_token(visit.signed_in_user, "sign-out", visit.posted("token")):
        raise Forbidden("wrong_form", "This form was not made for you. You are still signed in.")
    _, sign_in, until = visit.current_sign_in
    site.services.sign_outs.add(sign_in, until, int(time.time()))
    site.services.emitter.signed_out(visit.signed_in_user.id)
    return Redirect("/sign-in", cookie="")


def _address(text: str) -> str:
    """Return where to go after the sign-in: to a page of ours, whatever was asked for."""
    return text if _ADDRESS.fullmatch(text) else "/"


def _page(visit: PageRequest) -> int | None:
    text = visit.query.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) else None
