"""Sessions: one execution of a runbook each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from .base import Model, Stamped
from .common import Parameter, ParameterSchema, Permission
from .enums import SessionStatus


class Session(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a runbook. Its outputs are those of its runs."""

    id: str = ""
    name: str = ""
    runbook_id: str | None = msgspec.field(default=None, name="runbookID")
    status: SessionStatus
    param_values: dict[str, Any] = {}
    params: tuple[Parameter, ...] = ()
    is_private: bool = False
    permissions: tuple[Permission, ...] = ()
    team_id: str | None = msgspec.field(default=None, name="teamID")
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None
    updated_by: str | None = None

    @property
    def parameter_schema(self) -> ParameterSchema:
        """The schema of `param_values`, to validate them or to read them as Python values."""
        return ParameterSchema(parameters=self.params)


class GetSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `sessions.get`."""

    id: str


class ListSessions(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `sessions.list`. The two times bound the last update; `limit` is 1 to 50 items per page."""

    runbook_id: str | None = msgspec.field(default=None, name="runbookID")
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    limit: int | None = None
    page: int | None = None


class SessionPage(Model, frozen=True, kw_only=True, omit_defaults=True):
    """One page of sessions."""

    sessions: tuple[Session, ...] = ()
