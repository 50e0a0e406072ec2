"""From records of the store to the deliveries that tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ...models import Failure, RunStatus, SessionStatus
from ...webhooks import (
    EventData,
    EventPrompt,
    EventRunbook,
    EventSession,
    EventType,
    WebhookEvent,
)
from ..storage.ids import now, stable_id
from ..storage.records import Delivery, Outcome, Prompt, Run
from .targets import TargetsOfServer

_LONGEST_TEXT = 10_000  # characters
_ENDS = {
    RunStatus.SUCCEEDED: (EventType.SESSION_SUCCEEDED, SessionStatus.SUCCEEDED),
    RunStatus.FAILED: (EventType.SESSION_FAILED, SessionStatus.FAILED),
    RunStatus.CANCELLED: (EventType.SESSION_CANCELLED, SessionStatus.CANCELLED),
}


class DeliveryAnnouncer:
    """Makes the deliveries of opened prompts and ended sessions, for the transaction in which these are recorded.

    `base_url` is the public URL of the server, without which messages hold no links.
    """

    def __init__(self, targets: TargetsOfServer, base_url: str | None) -> None:
        self._targets = targets
        self._base_url = base_url

    def prompt_opened(self, root: Run, prompt: Prompt, /) -> Sequence[Delivery]:
        """Return the deliveries of a prompt that has been opened."""
        opened = EventPrompt(
            id=prompt.id,
            url=self._url(f"/prompts/{prompt.id}"),
            description=_text(prompt.description),
            confirm_text=_text(prompt.confirm_text),
            cancel_text=_text(prompt.cancel_text),
            expires_at=prompt.expires_at,
        )
        data = EventData(session=self._session(root, SessionStatus.ACTIVE), runbook=_runbook(root), prompt=opened)
        return self._deliveries(root, EventType.PROMPT_OPENED, prompt.created_at, data, prompt.id)

    def session_ended(self, root: Run, outcome: Outcome, cancelled_by: str | None, /) -> Sequence[Delivery]:
        """Return the deliveries of a session that has ended; of a task, there are none."""
        event_type, status = _ENDS[outcome.status]
        session = self._session(root, status, cancelled_by)
        data = EventData(session=session, runbook=_runbook(root), error=_error(outcome))
        return self._deliveries(root, event_type, now(), data, root.id)

    def _session(self, root: Run, status: SessionStatus, cancelled_by: str | None = None) -> EventSession:
        return EventSession(
            id=root.session_id or "",
            url=self._url(f"/sessions/{root.session_id}"),
            status=status,
            env_slug=root.env_slug,
            created_at=root.created_at,
            created_by=root.created_by,
            cancelled_by=cancelled_by,
        )

    def _url(self, path: str) -> str | None:
        return None if self._base_url is None else self._base_url + path

    def _deliveries(
        self, root: Run, event_type: EventType, at: datetime, data: EventData, about: str
    ) -> Sequence[Delivery]:
        targets = () if root.session_id is None else self._targets.of(root.task_id, event_type)
        if not targets or root.session_id is None:
            return ()
        body = msgspec.json.encode(WebhookEvent(type=event_type, timestamp=at, data=data))
        return [
            Delivery(
                id=stable_id("msg", f"{about} {event_type} {target.name}"),
                target=target.name,
                event_type=event_type.value,
                session_id=root.session_id,
                body=body,
            )
            for target in targets
        ]


def _runbook(root: Run) -> EventRunbook:
    return EventRunbook(id=root.task_id, slug=root.slug, name=root.name)


def _error(outcome: Outcome) -> Failure | None:
    failure = outcome.failure
    if failure is None:
        return None
    return Failure(
        kind=failure.kind,
        message=_text(failure.message),
        step=failure.step and _text(failure.step),
        step_run_id=failure.step_run_id,
    )


def _text(text: str) -> str:
    """Return a text that can be encoded, cut if it is very long."""
    readable = text.encode(errors="replace").decode()
    return readable if len(readable) <= _LONGEST_TEXT else f"{readable[:_LONGEST_TEXT]}…"
