"""For receivers of a server's webhooks: verify that a message is genuine, and read the event in it.

Messages have the form of [Standard Webhooks](https://www.standardwebhooks.com).
"""

from .events import EventData, EventPrompt, EventRunbook, EventSession, EventType, WebhookEvent
from .problems import InvalidWebhook, WebhookProblem
from .signing import sign
from .verifying import DEFAULT_TOLERANCE, verify

__all__ = [
    "DEFAULT_TOLERANCE",
    "EventData",
    "EventPrompt",
    "EventRunbook",
    "EventSession",
    "EventType",
    "InvalidWebhook",
    "WebhookEvent",
    "WebhookProblem",
    "sign",
    "verify",
]
