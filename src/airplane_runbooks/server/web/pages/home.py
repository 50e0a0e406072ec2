"""View of the first page: prompts that wait for the user, and sessions that run or have failed."""

from __future__ import annotations

from collections.abc import Sequence

from ....models import SessionStatus
from ...service import prompts
from ...service.deliveries import has_given_up
from ...storage.interface import SessionQuery
from ...storage.records import Session
from .held import has_restored
from .interface import PageContext, PageRequest, PageResponse
from .view_models import describe_prompt, session_secrets

_MOST_PROMPTS = 20
_MOST_SESSIONS = 5  # of each state
_REFRESH = 10  # seconds


def home(context: PageContext, request: PageRequest) -> PageResponse:
    """Show what there is to do."""
    waiting = prompts.waiting_for(context.services, request.signed_in_user)[:_MOST_PROMPTS]
    values = {
        "waiting": [
            (describe_prompt(prompt, context.users, session_secrets(session, [prompt])), session)
            for prompt, session in waiting
        ],
        "running": _newest(context, SessionStatus.ACTIVE),
        "failed": _newest(context, SessionStatus.FAILED),
        "has_restored": has_restored(context.services),
        "has_given_up": has_given_up(context.services),
        "live": request.is_live,
        "refresh": _REFRESH if request.is_live else 0,
    }
    return PageResponse("home.html", values)


def _newest(context: PageContext, status: SessionStatus) -> Sequence[tuple[Session, str]]:
    found = context.services.store.sessions(SessionQuery(status=status, limit=_MOST_SESSIONS))
    return [(session, context.users.name(session.created_by)) for session in found]
