"""Tasks: single functions, executed as runs of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .base import Identifier, Model


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
