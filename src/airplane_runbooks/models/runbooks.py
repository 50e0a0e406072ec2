"""Runbooks, and the sessions that executing them starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .base import Identifier, Model
from .common import ParameterSchema


class Runbook(Model, frozen=True, kw_only=True, omit_defaults=True):
    """A runbook that the server can execute, with the schema of its parameters.

    Attributes:
        result_schema: JSON Schema of its result; None if its author has not annotated it, or so that JSON has no schema
            for it, and from servers that do not tell it.
        confirm: Sentence that people agree to before they start it; empty for none.
    """

    id: str = ""
    slug: str = ""
    name: str = ""
    description: str = ""
    parameters: ParameterSchema = ParameterSchema()
    result_schema: dict[str, Any] | None = None
    confirm: str = ""


class ListRunbooks(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `runbooks.list`, which has no parameters."""


class RunbookPage(Model, frozen=True, kw_only=True, omit_defaults=True):
    """All runbooks of a server."""

    runbooks: tuple[Runbook, ...] = ()


class ExecuteRunbook(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `runbooks.execute`: the runbook by `id` or `slug`, and the values of its parameters."""

    id: str | None = None
    slug: str | None = None
    param_values: Mapping[str, Any] = msgspec.field(default_factory=dict)


class StartedSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `runbooks.execute`: the new session."""

    session_id: Identifier = msgspec.field(name="sessionID")
