"""Names in the generated module: identifiers, each for one thing, and texts that cannot end their quotes."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

from ...errors import escape_controls

IMPORTED = {
    *("annotations", "datetime", "uuid", "msgspec", "Any", "Literal"),
    *("ConfigVar", "RunbookCall", "Upload", "UNSET", "UnsetType"),
}

FOR_CLASSES = {*dir(builtins), *keyword.kwlist, *keyword.softkwlist, *IMPORTED}
# A field would stand before what annotations below it mean.
FOR_FIELDS = {*keyword.kwlist, *IMPORTED, "bool", "dict", "float", "int", "list", "str", "tuple"}

_GAP = re.compile(r"[\W_]+", re.ASCII)


class Names:
    """Names that are given out once each.

    Args:
        reserved: Names that are not given out.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = set(reserved)

    def class_name(self, *parts: str) -> str:
        """Return a new name of a class, made of these parts."""
        words = [word for part in parts for word in _GAP.split(part) if word]
        return self._unique("".join(word[:1].upper() + word[1:] for word in words) or "Unnamed", digits="Type")

    def field_name(self, slug: str) -> str:
        """Return a new name of a field, the slug itself if it can be one."""
        return self._unique((slug if slug.isidentifier() else _GAP.sub("_", slug)).strip("_"), digits="field_")

    def _unique(self, wanted: str, *, digits: str) -> str:
        wanted = digits + wanted if not wanted or wanted[0].isdigit() else wanted
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_" if number == 2 else f"{wanted}_{number}"
        self._taken.add(name)
        return name


def string(value: str) -> str:
    """Return a string literal in double quotes."""
    return f'"{_quoted(value)}"'


def _quoted(text: str) -> str:
    """Return a text that can stand in double quotes and means itself. Control characters become Python's escapes."""
    return escape_controls(text.replace("\\", "\\\\").replace('"', '\\"'))


def docstring(text: str, indent: str) -> list[str]:
    """Return the lines of a docstring."""
    lines = [_quoted(line).rstrip() for line in text.strip().splitlines()] or [""]
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    return [f'{indent}"""{lines[0]}', *(indent + line if line else "" for line in lines[1:]), f'{indent}"""']


def comment(text: str, indent: str) -> list[str]:
    """Return a comment of the first line of a text, no line if that is empty."""
    first = escape_controls(text.strip().partition("\n")[0])
    return [f"{indent}# {first}"] if first else []
