"""Annotations of functions, as types."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


def resolved_annotations(function: Callable[..., Any], slug: str) -> dict[str, Any]:
    """Return the annotations of a function, those that are strings replaced by the types that they name.

    Raises TypeError, naming the slug and the annotation, for one that cannot be resolved.
    """
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as problem:
        raise TypeError(f"{slug}: {_explained(function, problem)}") from problem


def _explained(function: Callable[..., Any], problem: Exception) -> str:
    """Say which annotation raised a problem, and what names it can use if it lacks one."""
    function = inspect.unwrap(function)
    for name, annotation in inspect.get_annotations(function).items():
        try:
            alone: Any = SimpleNamespace(__annotations__={name: annotation})
            typing.get_type_hints(alone, getattr(function, "__globals__", {}))
        except Exception as own:  # noqa: BLE001 - the evaluated code is the author's
            subject = "the annotation of its result" if name == "return" else f"the annotation of parameter {name}"
            written = annotation if isinstance(annotation, str) else repr(annotation)
            advice = ""
            if isinstance(own, NameError):
                advice = (
                    "; annotations that are texts, such as all those after `from __future__ import annotations`, can "
                    f"only use names of the module {function.__module__}, not those of a function around it"
                )
            return f"{subject}, {written}, cannot be resolved: {own}{advice}"
    return f"its annotations cannot be resolved: {problem}"
