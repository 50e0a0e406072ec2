"""Parameter types are told apart in `schema/` alone, so that adding one touches nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import airplane_runbooks
from airplane_runbooks.models import ParameterType

PACKAGE = Path(airplane_runbooks.__file__).parent

# The default of a public model; and a program that uses the client as its users do, for prompts that it knows.
JUSTIFIED = {"models/common.py", "server/demo.py"}


def members_named(source: str) -> Iterator[str]:
    """Yield the members of ParameterType that a module names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ParameterType.__members__:
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name == "ParameterType":
                yield node.attr


def types_compared(source: str) -> Iterator[str]:
    """Yield the names of types that a module compares a parameter's `type` with."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "type":
            for part in (part for other in node.comparators for part in ast.walk(other)):
                if isinstance(part, ast.Constant) and part.value in [*ParameterType]:
                    yield part.value


def outside_of_schema() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("schema/"):
            yield name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("if one.type is ParameterType.DATE: pass", ["DATE"]),
        ("TABLE = {models.ParameterType.LIST: 1}", ["LIST"]),
        ("if one.type in ('map', 'a'): pass", ["map"]),
        ("kind = ParameterType(name); other.DATE", []),
    ],
)
def test_a_module_that_names_a_parameter_type_is_found(source, found):
    assert [*members_named(source), *types_compared(source)] == found


def test_no_module_outside_schema_tells_types_apart():
    found = {
        name: sorted({*members_named(source), *types_compared(source)})
        for name in outside_of_schema()
        for source in [(PACKAGE / name).read_text(encoding="utf-8")]
    }

    assert {name for name, members in found.items() if members} == JUSTIFIED
