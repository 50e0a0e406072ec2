"""Page of the sessions that are held since the database was restored, from where an operator lets them all go on."""

from __future__ import annotations

import time

from ...service import sessions
from ...service.services import Caller, Services
from ...storage.holds import RESTORED
from ...storage.ids import API_USER, new_seed
from . import signing
from .interface import PageContext, PageRequest, PageResponse, Redirect

_MOST_SHOWN = 100
_LONGEST = 10.0  # seconds that one press of the button may take: proxies do not wait much longer for a reply
_FORM = "held"


def has_restored(services: Services) -> bool:
    """Tell whether a session or task is held since the database was restored."""
    return bool(services.store.held(RESTORED, 1))


def held(context: PageContext, request: PageRequest) -> PageResponse:
    """List the sessions and tasks that are held since the database was restored."""
    found = context.services.store.held(RESTORED, _MOST_SHOWN + 1)
    values = {
        "held": found[:_MOST_SHOWN],
        "is_cut": len(found) > _MOST_SHOWN,
        "released": _count(request.query.get("released", "")),
        "may_release": request.signed_in_user.id == API_USER,
        "token": signing.form_token(request.signed_in_user, _FORM),
    }
    return PageResponse("held.html", values)


def release_all(context: PageContext, request: PageRequest) -> Redirect:
    """Let all of them go on, or as many as there is time for, in one transaction after the other."""
    signing.check_form_token(request.signed_in_user, _FORM, request.field("token"))
    caller = Caller(request.signed_in_user, new_seed())
    until = time.monotonic() + _LONGEST
    count = 0
    while released := sessions.release_all(context.services, caller):
        count += released
        if time.monotonic() >= until:
            break
    return Redirect(f"/held?released={count}")


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
