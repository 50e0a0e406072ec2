"""Views: one function for each page, from a request to a template with its values."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from ....models.tables import csv_of
from ...errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from ...service import logs, prompts, runs, uploads
from ...service import sessions as session_service
from ...service.services import Caller, check_operator
from ...storage.encoding import decode
from ...storage.holds import why_held
from ...storage.ids import API_USER, new_seed, stamp
from ...storage.records import Prompt
from ...storage.rows import from_microseconds
from . import forms, signing
from .interface import (
    Download,
    PageContext,
    PageRequest,
    PageResponse,
    Redirect,
)
from .references import keep_files, with_names
from .view_models import (
    describe_parameters,
    describe_prompt,
    describe_session,
    session_secrets,
)

_MOST_SHOWN = 5  # displays on the page of a prompt
_FAILED = "an operator has failed the session while it was held"
_SESSION_REFRESH = 5  # seconds
_ADDRESS = re.compile(
    r"/((sessions|prompts)/[A-Za-z0-9]{1,60}|sessions(/[A-Za-z0-9]{1,60}/(cancel|delete))?|runbooks(/[a-z0-9_]{1,50})?|held|deliveries)?"
    r"(\?[A-Za-z0-9%&=+._~*:/@,-]{0,4000})?",
    re.ASCII,
)


def session(context: PageContext, request: PageRequest) -> PageResponse:
    """Show a session."""
    record = session_service.find(context.services, request.path["id"])
    shown = describe_session(context.services, context.users, record, _page(request))
    is_live = request.is_live and not shown.status.is_terminal
    values = {
        "session": shown,
        "runbook": context.services.runbooks.by_id.get(record.runbook_id),
        "live": request.is_live,
        "refresh": _SESSION_REFRESH if is_live else 0,
        "token": signing.form_token(request.signed_in_user, record.id),
        "is_operator": request.signed_in_user.id == API_USER,
    }
    return PageResponse("session.html", values)


def confirm_cancel(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """Ask whether a session is to be cancelled; one that has ended is shown instead."""
    record = session_service.find(context.services, request.path["id"])
    if record.status.is_terminal:
        return Redirect(f"/sessions/{record.id}")
    values = {"session": record, "token": signing.form_token(request.signed_in_user, record.id)}
    return PageResponse("cancel.html", values)


def confirm_delete(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """Ask an operator whether a session is to be deleted; one that has not ended is shown instead."""
    record = session_service.find(context.services, request.path["id"])
    check_operator(Caller(request.signed_in_user, new_seed()))
    if not record.status.is_terminal:
        return Redirect(f"/sessions/{record.id}")
    values = {"session": record, "token": signing.form_token(request.signed_in_user, record.id)}
    return PageResponse("delete.html", values)


def end_session(context: PageContext, request: PageRequest) -> Redirect:
    """Cancel a session, or fail or release one that is held, and go back to its page; or delete one."""
    record = session_service.find(context.services, request.path["id"])
    signing.check_form_token(request.signed_in_user, record.id, request.field("token"))
    caller = Caller(request.signed_in_user, new_seed())
    match request.field("action"):
        case "cancel":
            session_service.cancel(context.services, record.id, caller)
        case "release":
            session_service.release(context.services, record.id, caller)
        case "fail":
            session_service.fail(context.services, record.id, _FAILED, caller)
        case "delete":
            session_service.delete(context.services, record.id, caller)
            return Redirect("/sessions")
        case _:
            raise Invalid("invalid_form", "The form does not say what to do.")
    return Redirect(f"/sessions/{record.id}")


def download_json(context: PageContext, request: PageRequest) -> Download:
    """Return the output of a run as a file of JSON."""
    run = runs.find(context.services, request.path["id"])
    return Download(f"{run.id}.json", run.output, "application/json")


def download_csv(context: PageContext, request: PageRequest) -> Download:
    """Return the output of a run as a file of CSV."""
    run = runs.find(context.services, request.path["id"])
    text = csv_of(decode(run.output))
    if text is None:
        raise NotFound("not_a_table", "this output is not a list of flat objects, so it has no form in CSV")
    return Download(f"{run.id}.csv", text.encode(errors="replace"), "text/csv; charset=utf-8")


def download_log(context: PageContext, request: PageRequest) -> Download:
    """Return the log of a step as a file of text."""
    run = runs.find_brief(context.services, request.path["id"])
    lines = (
        f"{stamp(from_microseconds(line.at))} [{line.attempt}] {line.severity} {line.text}\n"
        for line in logs.read_all(context.services, run.id)
    )
    return Download(f"{run.id}.log", "".join(lines).encode(), "text/plain; charset=utf-8")


def download_upload(context: PageContext, request: PageRequest) -> Download:
    """Return an uploaded file, a chunk at a time."""
    upload = uploads.find(context.services, request.path["id"])
    return Download(upload.name, uploads.read(context.services, upload), "application/octet-stream", size=upload.size)


def prompt(context: PageContext, request: PageRequest) -> PageResponse:
    """Show a prompt, with a form if it is open and the user may answer it."""
    return _prompt(context, request)


def answer_prompt(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """Submit or cancel a prompt, and go to its session."""
    prompt_id, action = request.path["id"], request.field("action")
    if not signing.has_form_token(request.signed_in_user, prompt_id, request.field("token")):
        prompts.find(context.services, prompt_id)
        text = "This form was not made for you, or it is out of date. Nothing was changed; open the prompt again."
        raise Forbidden("wrong_form", text)
    if action not in ("submit", "cancel"):
        raise Invalid("invalid_form", "The form does not say what to do.")
    caller = Caller(request.signed_in_user, new_seed())
    fields: Sequence[forms.Field] = ()
    posted: forms.Posted = request.fields

    def read(record: Prompt) -> prompts.Values:
        nonlocal fields
        filled = forms.fill(with_names(context.services, record.parameters), posted)
        fields = filled.fields
        if filled.errors:
            raise Invalid("invalid_form", "")  # each of the fields says what is wrong
        return filled.values

    try:
        if action == "cancel":
            answered = prompts.cancel(context.services, prompt_id, caller)
        else:
            if request.files:  # before the transaction in which the answer is read
                asked = prompts.find(context.services, prompt_id).parameters
                posted = keep_files(context.services, request, asked)
            answered = prompts.submit(context.services, prompt_id, read, caller)
    except TooLarge as problem:
        asked = with_names(context.services, prompts.find(context.services, prompt_id).parameters)
        return _prompt(context, request, forms.fill(asked, request.fields).fields, status=422, problem=problem.message)
    except Invalid as problem:
        return _prompt(context, request, fields, status=422, problem=problem.message)
    except Conflict:
        return _prompt(context, request, status=409)
    return Redirect(f"/sessions/{answered.root.session_id}")


def _prompt(
    context: PageContext,
    request: PageRequest,
    fields: Sequence[forms.Field] = (),
    *,
    status: int = 200,
    problem: str = "",
) -> PageResponse:
    record, session, root = prompts.find_with_session(context.services, request.path["id"])
    if status == 200:
        fields = forms.blank(with_names(context.services, record.parameters))
    shown = describe_prompt(record, context.users, session_secrets(session, [record]))
    is_open = shown.state == "open"
    steps = describe_session(context.services, context.users, session, None) if is_open else None
    values = {
        "prompt": shown,
        "session": session,
        "started_by": context.users.name(session.created_by),
        "parameters": describe_parameters(session),
        "steps": steps,
        "shown": [] if steps is None else [step for step in steps.steps if step.display][-_MOST_SHOWN:],
        "fields": fields,
        "is_decision": forms.is_decision(record.parameters),
        "errors": [field for field in fields if field.error],
        "problem": problem,
        "objection": prompts.objection(context.services, record, root, request.signed_in_user),
        "held": why_held(root) if record.is_open else None,
        "too_late": status == 409,
        "token": signing.form_token(request.signed_in_user, record.id),
    }
    return PageResponse("prompt.html", values, status)


def ask_for_key(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """Show the form to sign in."""
    del context
    address = _address(request.query.get("next", ""))
    return Redirect(address) if request.user else PageResponse("sign_in.html", {"next": address, "error": ""})


def sign_in(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """Sign the owner of an API key in."""
    address = _address(request.field("next"))
    key = request.field("key").strip()
    user = context.users.find(key)
    if user is None:
        return _reject_key(context, request, key, address)
    context.services.emitter.signed_in(user.id, request.client)
    return Redirect(address, cookie=signing.sign_in_cookie(user, key, time.time()))


def _reject_key(context: PageContext, request: PageRequest, key: str, address: str) -> PageResponse:
    error = context.failed_logins.count(key, request.client)
    context.services.emitter.sign_in_refused(request.client, error.code)
    if error.retry_after is None:
        return PageResponse("sign_in.html", {"next": address, "error": "This is not an API key of this server."}, 403)
    text = "There were too many wrong keys lately, and this is one of them. Try the right one."
    return PageResponse("sign_in.html", {"next": address, "error": text}, 429, {"Retry-After": str(error.retry_after)})


def sign_out(context: PageContext, request: PageRequest) -> PageResponse | Redirect:
    """End a sign-in for good, even if its cookie was copied."""
    if not signing.has_form_token(request.signed_in_user, "sign-out", request.field("token")):
        raise Forbidden("wrong_form", "This form was not made for you. You are still signed in.")
    _, sign_in, until = request.current_sign_in
    context.services.sign_outs.add(sign_in, until, int(time.time()))
    context.services.emitter.signed_out(request.signed_in_user.id)
    return Redirect("/sign-in", cookie="")


def _address(text: str) -> str:
    """Return the address to go to after the sign-in: one of our own pages."""
    return text if _ADDRESS.fullmatch(text) else "/"


def _page(request: PageRequest) -> int | None:
    text = request.query.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) else None
