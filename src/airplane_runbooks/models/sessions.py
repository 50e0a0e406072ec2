"""Sessions: one execution of a runbook each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .base import Model, Stamped
from .common import Failure, Hold, Parameter, ParameterSchema, Permission
from .decoding import decode_any
from .enums import SessionStatus


class Session(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a runbook.

    Attributes:
        run_id: ID of the run of the runbook itself; None from servers that do not tell it.
        error: Reason for which it has failed, or was cancelled by its own runbook; None from servers that do not tell.
        held: Reason for which it goes no further until an operator has acted; None if it is not held, and from servers
            that do not tell.
        raw_output: Result of the runbook as JSON. UNSET if the server does not tell it: lists and other servers never
            do, and ours leaves out a result of more than 32 KiB, which `sessions.result` returns.
    """

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
    run_id: str | None = msgspec.field(default=None, name="runID")
    error: Failure | None = None
    held: Hold | None = None
    raw_output: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name="output")

    @property
    def output(self) -> Any:
        """The result of the runbook, decoded anew each time.

        None if that is the result, if there is none yet, and if the server does not tell it: see `raw_output`. Raises
        ValueError for JSON that Python cannot hold.
        """
        return None if self.raw_output is UNSET else decode_any(bytes(self.raw_output))

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = ((name, bytes(value) if isinstance(value, msgspec.Raw) else value) for name, value in values)
        return f"Session({', '.join(f'{name}={value!r}' for name, value in shown)})"

    @property
    def parameter_schema(self) -> ParameterSchema:
        """The schema of `param_values`, to validate them or to read them as Python values."""
        return ParameterSchema(parameters=self.params)


class GetSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `sessions.get`."""

    id: str


class CancelSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `sessions.cancel`."""

    id: str


class CancelledSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `sessions.cancel`, which says nothing but that it worked."""


class ReleaseSessions(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `sessions.release`: one session by its ID, or all that are held since the database was restored."""

    id: str | None = None
    all: bool = False


class ReleasedSessions(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `sessions.release`: the number of sessions that go on."""

    released: int = 0


class DeleteSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `sessions.delete`."""

    id: str


class DeletedSession(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `sessions.delete`, which says nothing but that it worked."""


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
