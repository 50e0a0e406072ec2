"""Prompts: questions of a run to a human."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .base import Model, Stamped
from .common import Hold, ParameterSchema


class Reviewers(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Groups (slugs) and users (e-mail addresses) that may answer. If both are empty, every user may."""

    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    allow_self_approvals: bool = True


class Prompt(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A question to a human. It is open until `submitted_at` or `cancelled_at` is set; both are final.

    Attributes:
        held: Reason for which it takes no answer for now; None if it does, and from servers that do not tell.
    """

    id: str
    run_id: str | None = msgspec.field(default=None, name="runID")
    schema: ParameterSchema = ParameterSchema()
    values: dict[str, Any] = {}
    reviewers: Reviewers = Reviewers()
    description: str = ""
    confirm_text: str = ""
    cancel_text: str = ""
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    submitted_by: str | None = None
    cancelled_at: datetime | None = None
    cancelled_by: str | None = None
    held: Hold | None = None

    @property
    def is_open(self) -> bool:
        """True while the prompt waits for an answer."""
        return self.submitted_at is None and self.cancelled_at is None


class PromptReply(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `prompts.get`: the prompt, nested."""

    prompt: Prompt


class GetPrompt(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `prompts.get`."""

    id: str


class ListPrompts(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `prompts.list`: the prompts of one run."""

    run_id: str = msgspec.field(name="runID")


class PromptPage(Model, frozen=True, kw_only=True, omit_defaults=True):
    """The prompts of a run."""

    prompts: tuple[Prompt, ...] = ()


class SubmitPrompt(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `prompts.submit`: the answer, by parameter slug."""

    id: str
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)


class CancelPrompt(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `prompts.cancel`."""

    id: str


class AnsweredPrompt(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `prompts.submit` and `prompts.cancel`: the prompt's ID."""

    id: str
