"""View of the first page: prompts that wait for the user, and sessions that are held, run or have failed."""

from __future__ import annotations

from collections.abc import Sequence

from ....models import SessionStatus
from ...service import prompts
from ...service.deliveries import has_given_up
from ...storage.holds import RESTORED, why_held
from ...storage.interface import SessionQuery
from ...storage.records import Session
from .held import has_restored
from .interface import PageContext, PageRequest, PageResponse
from .view_models import describe_prompt, session_secrets

_MOST_PROMPTS = 20
_MOST_SESSIONS = 5  # of each state
_MOST_HELD = 20
_REFRESH = 10  # seconds


def home(context: PageContext, request: PageRequest) -> PageResponse:
    """Show what there is to do."""
    waiting = prompts.waiting_for(context.services, request.signed_in_user)[:_MOST_PROMPTS]
    held = context.services.store.held(None, _MOST_HELD + 1)
    is_cut = len(held) > _MOST_HELD
    values = {
        "held": [(run, why_held(run)) for run in held[:_MOST_HELD]],
        "is_cut": is_cut,
        "waiting": [
            (describe_prompt(prompt, context.users, session_secrets(session, [prompt])), session)
            for prompt, session in waiting
        ],
        "running": _newest(context, SessionStatus.ACTIVE),
        "failed": _newest(context, SessionStatus.FAILED),
        "has_restored": any(run.held == RESTORED for run in held) or (is_cut and has_restored(context.services)),
        "has_given_up": has_given_up(context.services),
        "live": request.is_live,
        "refresh": _REFRESH if request.is_live else 0,
    }
    return PageResponse("home.html", values)


def _newest(context: PageContext, status: SessionStatus) -> Sequence[tuple[Session, str]]:
    found = context.services.store.sessions(SessionQuery(status=status, limit=_MOST_SESSIONS))
    return [(session, context.users.name(session.created_by)) for session in found]
