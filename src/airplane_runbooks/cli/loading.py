"""Finding the runbooks and tasks in a module."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import click


def load(target: str) -> tuple[list[Any], list[Any]]:
    """Import a module, and return its runbooks and tasks.

    Raises UsageError if it has none, and if it cannot be imported, with the traceback of its own code.

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
    if not module or module.startswith("."):
        raise click.UsageError(f"There is no module {name!r}: name a module or a file, such as refunds.py.")
    try:
        return importlib.import_module(module)
    except Exception as problem:  # noqa: BLE001 - a module can raise anything
        missing = problem.name if isinstance(problem, ModuleNotFoundError) else None
        if missing is not None and (module == missing or module.startswith(f"{missing}.")):
            raise click.UsageError(f"There is no module {name}.") from None
        text = "".join(_traceback(problem)).rstrip()
        raise click.UsageError(f"The server cannot start: {name} cannot be imported.\n{text}") from None


def _traceback(problem: Exception) -> list[str]:
    """Return the lines of a traceback, without the frames that lead to the module."""
    place = problem.__traceback__
    while place is not None and _is_importing(place.tb_frame.f_code.co_filename):
        place = place.tb_next
    return traceback.format_exception(type(problem), problem, place)


def _is_importing(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


def _all_in(value: Any) -> Iterable[Any]:
    from .. import server

    if isinstance(value, ModuleType):
        value = vars(value).values()
    elif not isinstance(value, Iterable):
        value = (value,)
    return (one for one in value if isinstance(one, server.Runbook | server.Task))
