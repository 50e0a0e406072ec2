"""Descriptions of parameters and attributes, taken from docstrings in Google's or Sphinx's style."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SECTION = re.compile(r"(?:Args|Arguments|Attributes|Parameters):\s*$")
_GOOGLE = re.compile(r"\s+\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")
_SPHINX = re.compile(r"\s*:param\s+(?:[^:]*\s)?(\w+):\s*(.*)$")


def parse(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a cleaned docstring into the description of the whole and one for each parameter."""
    rest: list[str] = []
    found: dict[str, str] = {}
    in_section, name, indent = False, "", 0
    for line in docstring.splitlines():
        depth = len(line) - len(line.lstrip())
        if _SECTION.match(line):
            in_section, name = True, ""
        elif match := _SPHINX.match(line) or (
            _GOOGLE.match(line) if in_section and depth <= (indent or depth) else None
        ):
            name, indent = match[1], depth if in_section else 0
            found[name] = match[2].strip()
        elif name and line.strip() and depth > (indent if in_section else 0):
            found[name] = f"{found[name]} {line.strip()}".strip()
        elif in_section and not line.strip():
            continue
        else:
            in_section, name, indent = False, "", 0
            rest.append(line)
    return "\n".join(_trimmed(rest)), found


def _trimmed(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines).strip()
    return iter(re.sub(r"\n{3,}", "\n\n", text).split("\n"))
