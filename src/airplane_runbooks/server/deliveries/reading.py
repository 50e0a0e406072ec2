"""Targets read from JSON, as the command line and the environment give them."""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import ConfigurationError
from .targets import Slack, Target, Webhook


class UnusableTargetError(Exception):
    """A target has the right form and cannot be used. The message shows neither its URL nor its secret."""


class _Target(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True):
    url: str
    name: str | None = None
    events: list[str] | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments that have a value."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class _Webhook(_Target, tag="webhook", kw_only=True):
    secret: str | list[str]


class _Slack(_Target, tag="slack"):
    pass


def read_targets(text: str) -> list[Target]:
    """Return the targets of a JSON list. Raises DecodeError for another form, and UnusableTargetError."""
    found = msgspec.json.decode(text, type=list[_Webhook | _Slack])
    try:
        return [(Webhook if isinstance(one, _Webhook) else Slack)(**one.options()) for one in found]
    except (ConfigurationError, ValueError) as problem:
        raise UnusableTargetError(problem) from None
