"""Finding the runbooks and tasks in a module."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import click


def load(target: str) -> tuple[list[Any], list[Any]]:
    """Import a module, and return its runbooks and tasks. Raises UsageError if it has none.

    Args:
        target: Dotted name of the module or path of its file, and after a colon the name of something in it: a runbook,
            a task, or a list of both.
    """
    from .. import server  # late: only those who serve need its extra

    name, colon, attribute = target.rpartition(":")
    module = _import(name if colon else target)
    if colon and not hasattr(module, attribute):
        raise click.UsageError(f"{name} has no {attribute}.")
    found = list(dict.fromkeys(_all_in(getattr(module, attribute) if colon else module)))
    runbooks = [one for one in found if isinstance(one, server.Runbook)]
    tasks = [one for one in found if isinstance(one, server.Task)]
    if not runbooks and not tasks:
        raise click.UsageError(f"{target} has no runbook and no task: decorate a function with @runbook.")
    return runbooks, tasks


def _import(name: str) -> ModuleType:
    path = Path(name)
    is_file = path.suffix == ".py"
    sys.path.insert(0, str(path.parent if is_file else Path.cwd()))
    module = path.stem if is_file else name
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module == missing.name or module.startswith(f"{missing.name}.")):
            raise click.UsageError(f"There is no module {name}.") from None
        raise


def _all_in(value: Any) -> Iterable[Any]:
    from .. import server

    if isinstance(value, ModuleType):
        value = vars(value).values()
    elif not isinstance(value, Iterable):
        value = (value,)
    return (one for one in value if isinstance(one, server.Runbook | server.Task))
