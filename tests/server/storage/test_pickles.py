"""Rows of a database cannot make the server execute code: it knows no form of data that does."""

from __future__ import annotations

import ast
from pathlib import Path

import airplane_runbooks

UNSAFE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "PickleType"}
SOURCES = sorted(Path(airplane_runbooks.__file__).parent.rglob("*.py"))


def names_in(source: str) -> set[str]:
    """Return every name, attribute and imported module of a source."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import() | ast.ImportFrom():
                found |= {part for one in node.names for part in one.name.split(".")}
                found |= set((getattr(node, "module", None) or "").split("."))
            case ast.Name():
                found.add(node.id)
            case ast.Attribute():
                found.add(node.attr)
            case _:
                pass
    return found


def test_the_package_unpickles_nothing():
    assert len(SOURCES) > 200
    assert {path.name: used for path in SOURCES if (used := UNSAFE & names_in(path.read_text("utf-8")))} == {}
