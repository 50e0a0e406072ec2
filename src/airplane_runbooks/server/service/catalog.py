"""The runbooks, tasks and environments that a server has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..authoring.decorators import (
    Registry,
    Runbook,
    RunnableT,
    Task,
)
from ..errors import Invalid, NotFound
from .services import Services

_LONGEST_ENVIRONMENT = 100  # characters


def runbooks(services: Services) -> Collection[Runbook[..., Any]]:
    """Return the runbooks that are served."""
    return services.runbooks.by_slug.values()


def tasks(services: Services) -> Collection[Task[..., Any]]:
    """Return the tasks that are served."""
    return services.tasks.by_slug.values()


def find_runbook(services: Services, names: Mapping[str, str]) -> Runbook[..., Any]:
    """Return the runbook that `names` names by `id`, `slug` or both. Raises Invalid, NotFound."""
    return _find(services.runbooks, names, "runbook")


def find_task(services: Services, names: Mapping[str, str]) -> Task[..., Any]:
    """Return the task that `names` names by `id`, `slug` or both. Raises Invalid, NotFound."""
    return _find(services.tasks, names, "task")


def find_environment(services: Services, slug: str | None) -> str:
    """Return the slug of an environment, the default one for None. Raises NotFound."""
    if slug is None:
        return services.environments[0] if services.environments else "prod"
    if not (len(slug) <= _LONGEST_ENVIRONMENT and slug.isprintable()):
        raise NotFound("environment_not_found", "no environment has such a slug")
    if services.environments is not None and slug not in services.environments:
        raise missing("environment", slug)
    return slug


def missing(kind: str, name: str) -> NotFound:
    """Return the error for an ID or slug that does not exist."""
    return NotFound(f"{kind}_not_found", f"there is no {kind} {name[:100]}")


def _find(registry: Registry[RunnableT], names: Mapping[str, str], kind: str) -> RunnableT:
    if not names:
        raise Invalid("missing_field", f"id or slug of the {kind} is required")
    found = [(registry.by_id if key == "id" else registry.by_slug).get(name) for key, name in names.items()]
    if found[0] is None or found[-1] is None:
        raise missing(kind, " / ".join(names.values()))
    if found[0] is not found[-1]:
        raise Invalid("ambiguous", f"id and slug name two different {kind}s")
    return found[0]
