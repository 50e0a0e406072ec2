"""The whole module: a class for each runbook, after the types of its result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

from ... import ConfigVar, Upload
from ...models import Parameter, Runbook
from ...schema.types import type_of
from .fields import Field, literal_of, struct_lines
from .names import FOR_CLASSES, Names, docstring, string
from .results import ResultTypes

_HEAD = '''"""The runbooks of a server as typed calls, made by `airplane-runbooks generate`. Edits will be lost."""

# ruff: noqa
from __future__ import annotations
'''

_IMPORTS = (  # in the order of the standard style: a name, and the line that imports it
    (("datetime",), "import {}", "standard"),
    (("uuid",), "import {}", "standard"),
    (("Any", "Literal"), "from typing import {}", "standard"),
    (("msgspec",), "import {}", "others"),
    (("UNSET", "UnsetType"), "from msgspec import {}", "others"),
    (("ConfigVar", "RunbookCall", "Upload"), "from airplane_runbooks import {}", "others"),
)

# Types that parameters are annotated with, as the module imports them.
_TYPES: dict[Any, str] = {
    **{kind: kind.__name__ for kind in (str, bool, int, float, ConfigVar, Upload)},
    date: "datetime.date",
    datetime: "datetime.datetime",
}


def module_of(runbooks: Iterable[Runbook]) -> str:
    """Return the text of a module of typed calls. It is the same for the same runbooks, in any order."""
    names = Names(FOR_CLASSES)
    ordered = sorted(runbooks, key=lambda runbook: (runbook.slug, runbook.id))
    calls = [names.class_name(runbook.slug) for runbook in ordered]  # first, so that results make way
    body = "\n".join(line for pair in zip(ordered, calls, strict=True) for line in _class(*pair, names))
    exported = ", ".join(map(string, sorted(calls)))
    return f"{_HEAD}\n{_imports(body)}\n__all__ = [{exported}]\n{body}\n"


def _imports(body: str) -> str:
    used = set(re.findall(r"\w+", body))
    sections: dict[str, list[str]] = {"standard": [], "others": []}
    for names, line, section in _IMPORTS:
        if wanted := [name for name in names if name in used]:
            sections[section].append(line.format(", ".join(wanted)))
    return "\n\n".join("\n".join(lines) for lines in sections.values() if lines) + "\n"


def _class(runbook: Runbook, name: str, names: Names) -> Iterator[str]:
    result = ResultTypes(names, name, runbook.result_schema or {})
    yield from result.lines
    yield from ("", "", f"class {name}(RunbookCall[{result.annotation}], slug={string(runbook.slug)}):")
    yield from docstring(runbook.description or runbook.name or runbook.slug, "    ")
    if runbook.parameters.parameters:
        yield ""
        yield from struct_lines(map(_field, runbook.parameters.parameters))


def _field(parameter: Parameter) -> Field:
    annotation = _annotation(parameter)
    has_default, is_nullable = parameter.default is not None, parameter.constraints.optional
    if is_nullable and not has_default:
        return Field(parameter.slug, _nullable(annotation), "None", description=parameter.desc)
    if has_default:
        annotation = f"{_nullable(annotation) if is_nullable else annotation} | UnsetType"
        return Field(parameter.slug, annotation, "UNSET", description=parameter.desc)
    return Field(parameter.slug, annotation, description=parameter.desc)


def _nullable(annotation: str) -> str:
    return annotation if annotation == "Any" else f"{annotation} | None"


def _annotation(parameter: Parameter) -> str:
    one = _one(parameter)
    return f"list[{one}]" if parameter.multi else one


def _one(parameter: Parameter) -> str:
    kind = type_of(parameter.type)
    if kind.is_container:
        element = "Any" if parameter.values is None else _annotation(parameter.values)
        return f"list[{element}]" if kind.python is list else f"dict[str, {element}]"
    options = parameter.constraints.options
    if isinstance(options, list | tuple) and options and not parameter.secret:
        values = [option.get("value") if isinstance(option, dict) else option for option in options]
        if kind.python in (str, int) and (literal := literal_of(values)):
            return literal
    return _TYPES.get(kind.python, "Any")
