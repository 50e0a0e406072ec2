"""Events as messages of Slack."""

from __future__ import annotations

import msgspec

from ...models.base import decoder_of
from ...webhooks import EventType, WebhookEvent

_LONGEST = 3000  # characters of a question or a reason; Slack cuts messages of more than 40,000
_HEADLINES = {
    EventType.PROMPT_OPENED: "{runbook} asks",
    EventType.SESSION_SUCCEEDED: "{runbook} has succeeded",
    EventType.SESSION_FAILED: "{runbook} has failed",
    EventType.SESSION_CANCELLED: "{runbook} was cancelled",
}


def slack_message(body: bytes) -> bytes:
    """Return the body for an incoming webhook of Slack that tells of the event in `body`."""
    event: WebhookEvent = decoder_of(WebhookEvent).decode(body)
    return msgspec.json.encode({"text": "\n".join(_lines(event)), "unfurl_links": False, "unfurl_media": False})


def _lines(event: WebhookEvent) -> list[str]:
    data, prompt = event.data, event.data.prompt
    headline = _HEADLINES[event.type].format(runbook=_escaped(data.runbook.name))
    url = data.session.url if prompt is None else prompt.url
    lines = [f"*{headline}* ({_escaped(data.session.env_slug)})"]
    if prompt is not None:
        lines.append(_cut(prompt.description))
    if data.error is not None:
        place = "" if data.error.step is None else f"step {data.error.step}: "
        lines.append(_cut(f"{place}{data.error.kind}: {data.error.message}"))
    lines.append(f"Session {data.session.id}" if url is None else f"<{_escaped(url)}|Session {data.session.id}>")
    return lines


def _cut(text: str) -> str:
    return _escaped(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _escaped(text: str) -> str:
    """Return a text in which nothing is a link, a mention or a command to Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
