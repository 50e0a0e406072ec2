"""The error of a message that must not be believed."""

from __future__ import annotations

from enum import StrEnum

from ..errors import AirplaneError


class WebhookProblem(StrEnum):
    """Reason for which a message is refused."""

    MISSING_HEADER = "missing_header"
    INVALID_HEADER = "invalid_header"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    WRONG_SIGNATURE = "wrong_signature"
    INVALID_BODY = "invalid_body"


class InvalidWebhook(AirplaneError):
    """A message that is not genuine, not recent, or not an event. Answer it with 400.

    Attributes:
        problem: Reason for which it is refused.
    """

    def __init__(self, problem: WebhookProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem

    def __reduce__(self) -> tuple[type[InvalidWebhook], tuple[WebhookProblem, str]]:
        return type(self), (self.problem, *self.args)
