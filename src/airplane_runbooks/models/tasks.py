"""Tasks: single functions, executed as runs of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from .base import Identifier, Model, Stamped
from .common import ParameterSchema


class Task(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A task that the server can execute, with the schema of its parameters. `timeout` is in seconds."""

    __wire_aliases__: ClassVar[dict[str, str]] = {"id": "taskID"}

    id: str = msgspec.field(name="taskID")
    slug: str = ""
    name: str = ""
    description: str = ""
    parameters: ParameterSchema = ParameterSchema()
    timeout: int | None = None
    is_archived: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class ListTasks(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `tasks.list`, which has no parameters of its own."""


class TaskPage(Model, frozen=True, kw_only=True, omit_defaults=True):
    """All tasks of an environment."""

    tasks: tuple[Task, ...] = ()


class ExecuteTask(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `tasks.execute`. `resources` maps aliases to resource IDs; `allow_cached_max_age` is 0 to 172800 s."""

    id: str | None = None
    slug: str | None = None
    param_values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    resources: Mapping[str, str] = msgspec.field(default_factory=dict)
    allow_cached_max_age: int | None = None


class StartedRun(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `tasks.execute`: the new run, or the cached one that was reused."""

    run_id: Identifier = msgspec.field(name="runID")
    is_cached: bool = False
