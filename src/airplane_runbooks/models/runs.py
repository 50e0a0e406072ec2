"""Runs: executions of single functions, of their own or as steps of a session."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from .base import Model, Stamped
from .common import AttemptFailure, Failure, Parameter, ParameterSchema, Permission
from .enums import RunKind, RunStatus, Runtime


class Label(Model, frozen=True, kw_only=True, omit_defaults=True):
    """A label that an agent must carry to execute a run."""

    key: str = ""
    value: str = ""


class RunConstraints(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Labels of the agents that may execute a run."""

    labels: tuple[Label, ...] = ()


class Run(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a function. `session_id` is set when it is a step of a session; `timeout` is in seconds.

    `is_waiting_for_user` is true while a prompt of the run is open, and None if the server does not say. Only servers
    of this package tell the `kind`, the `attempt`, the `error`, and the failures of up to 20 attempts before the last
    one.

    Both shapes of the API decode into it: the flat one, and the older `{"run": {"runID": ..., ...}}`.
    """

    __wire_wrapper__: ClassVar[str] = "run"
    __wire_aliases__: ClassVar[dict[str, str]] = {
        "runID": "id",
        "creatorID": "createdBy",
        "parameters": "params",
    }

    id: str
    task_id: str | None = msgspec.field(default=None, name="taskID")
    task_name: str | None = None
    session_id: str | None = msgspec.field(default=None, name="sessionID")
    team_id: str | None = msgspec.field(default=None, name="teamID")
    status: RunStatus
    runtime: Runtime | None = None
    timeout: int | None = None
    param_values: dict[str, Any] = {}
    params: tuple[Parameter, ...] = ()
    resources: dict[str, str] = {}
    constraints: RunConstraints = RunConstraints()
    is_private: bool = False
    permissions: tuple[Permission, ...] = ()
    created_at: datetime | None = None
    created_by: str | None = None
    active_at: datetime | None = None
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancelled_by: str | None = None
    zone_id: str | None = msgspec.field(default=None, name="zoneID")
    is_waiting_for_user: bool | None = None
    kind: RunKind | None = None
    attempt: int | None = None
    error: Failure | None = None
    earlier_failures: tuple[AttemptFailure, ...] = ()

    @property
    def parameter_schema(self) -> ParameterSchema:
        """The schema of `param_values`, to validate them or to read them as Python values."""
        return ParameterSchema(parameters=self.params)


class RunOutputs(Model, frozen=True, kw_only=True):
    """Output of a run: any JSON value. A failed run's output is an object whose `error` holds the message."""

    __wire_aliases__: ClassVar[dict[str, str]] = {"outputs": "output"}

    output: Any


class GetRun(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `runs.get` and `runs.get_outputs`."""

    id: str


class ListRuns(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `runs.list`. `since` and `until` bound the last update; `limit` is 1 to 50 items per page.

    `session_id` is not part of the API: some servers filter by it, the others ignore it.
    """

    session_id: str | None = msgspec.field(default=None, name="sessionID")
    task_id: str | None = msgspec.field(default=None, name="taskID")
    task_slug: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    page: int | None = None


class RunPage(Model, frozen=True, kw_only=True, omit_defaults=True):
    """One page of runs."""

    runs: tuple[Run, ...] = ()


class CancelRun(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `runs.cancel`."""

    run_id: str = msgspec.field(name="runID")


class CancelledRun(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `runs.cancel`, which is empty."""
