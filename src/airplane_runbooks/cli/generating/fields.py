"""Fields of generated classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .names import FOR_FIELDS, Names, comment, string


class Field(NamedTuple):
    """A field: its name in JSON, its annotation, and its default as an expression; msgspec copies `[]` and `{}`."""

    slug: str
    annotation: str
    default: str | None = None
    description: str = ""


def struct_lines(fields: Iterable[Field]) -> list[str]:
    """Return the lines of the fields of a class."""
    names = Names(FOR_FIELDS)
    return [line for field in fields for line in _lines(field, names.field_name(field.slug))] or ["    pass"]


def _lines(field: Field, name: str) -> list[str]:
    arguments = [] if name == field.slug else [f"name={string(field.slug)}"]
    if arguments and field.default is not None:
        arguments.append(f"default={field.default}")
    value = f"msgspec.field({', '.join(arguments)})" if arguments else field.default
    line = f"    {name}: {field.annotation}" + (f" = {value}" if value is not None else "")
    return [*comment(field.description, "    "), line]


def literal_of(values: Sequence[Any]) -> str:
    """Return the literal type of some values, empty if there is none: they must all be texts, or all whole numbers."""
    if not values or {type(value) for value in values} not in ({str}, {int}):
        return ""
    return f"Literal[{', '.join(map(literal, dict.fromkeys(values)))}]"


def literal(value: str | int) -> str:
    """Return the expression of a text, number or flag."""
    return string(value) if isinstance(value, str) else repr(value)
