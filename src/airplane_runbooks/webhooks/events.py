"""Events as webhooks tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from ..models import Failure, SessionStatus
from ..models.base import Model, Stamped
from ..schema.enums import OpenEnum


class EventType(OpenEnum):
    """Kind of an event. A session that has ended is told of by one of the last three."""

    PROMPT_OPENED = "prompt.opened"
    SESSION_SUCCEEDED = "session.succeeded"
    SESSION_FAILED = "session.failed"
    SESSION_CANCELLED = "session.cancelled"


class EventRunbook(Model, frozen=True, kw_only=True, omit_defaults=True):
    """The runbook of a session."""

    id: str = ""
    slug: str = ""
    name: str = ""


class EventSession(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The session that an event is about, as it was then.

    Attributes:
        url: Address of its page; None if the server does not know its public URL.
        env_slug: Environment that it was started in.
        created_by: ID of the user who started it.
        cancelled_by: ID of the user who cancelled it, if one did.
    """

    id: str
    url: str | None = None
    status: SessionStatus
    env_slug: str = ""
    created_at: datetime | None = None
    created_by: str | None = None
    cancelled_by: str | None = None


class EventPrompt(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """The prompt that has been opened. Values of secrets are masked in its texts.

    Attributes:
        url: Address of its page; None if the server does not know its public URL.
        description: The question. One of more than 10,000 characters is cut.
        expires_at: Time at which the server cancels it.
    """

    id: str
    url: str | None = None
    description: str = ""
    confirm_text: str = ""
    cancel_text: str = ""
    expires_at: datetime | None = None


class EventData(Model, frozen=True, kw_only=True, omit_defaults=True):
    """The objects that an event is about.

    Attributes:
        prompt: The prompt, if one has been opened.
        error: Reason for which the session has failed, or was cancelled by its own runbook.
    """

    session: EventSession
    runbook: EventRunbook = EventRunbook()
    prompt: EventPrompt | None = None
    error: Failure | None = None


class WebhookEvent(Model, frozen=True, kw_only=True, omit_defaults=True):
    """An event, as a message tells it.

    Attributes:
        id: ID of the message. It is the same each time the message is sent, so that a receiver can tell that it has
            had it before. It comes in a header.
        type: Kind of the event. A newer server may tell of others, so ignore those that you do not know.
        timestamp: Time of the event.
        data: The objects that it is about.
    """

    id: str = ""
    type: EventType
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    data: EventData
