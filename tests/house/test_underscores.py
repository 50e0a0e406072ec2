"""An underscore means private: a module to the package that holds it, any other name to its module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.layers import NAMES, PACKAGE, modules


def imported(name: str, path: Path) -> Iterator[list[str]]:
    """Yield the dotted name, in parts, of all that a module imports from its own package, wherever it does."""
    package = name.split(".") if name else []
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1:] for alias in node.names if alias.name.startswith(f"{PACKAGE.name}."))
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            if node.level:
                base = package[: len(package) - node.level + 1] + parts
            elif parts[0] == PACKAGE.name:
                base = parts[1:]
            else:
                continue
            yield from ([*base, alias.name] for alias in node.names)


def is_private(part: str) -> bool:
    return part.startswith("_") and not part.startswith("__")


def trespasses(name: str, path: Path) -> list[str]:
    """Return the private names of other packages and modules that a module imports."""
    own = name.split(".") if name else []
    found = []
    for target in imported(name, path):
        is_module = ".".join(target) in NAMES
        for depth, part in enumerate(target):
            inside = own[:depth] == target[:depth]  # of the package that holds it
            if is_private(part) and not (inside and (is_module or depth < len(target) - 1)):
                found.append(".".join(target))
    return found


@pytest.mark.parametrize(("name", "path"), [pytest.param(*one, id=one[0] or PACKAGE.name) for one in modules()])
def test_no_module_imports_what_is_private_elsewhere(name, path):
    assert trespasses(name, path) == []


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("client", "from .transports.urllib3._transport import Urllib3Transport"),
        ("client", "from airplane_runbooks.resources import _base"),
        ("client", "import airplane_runbooks.resources._base"),
        ("client", "from .options import _ask"),
        ("server.app", "from ..testing.conformance._support import KEY"),
    ],
)
def test_private_imports_from_elsewhere_are_found(tmp_path, name, statement):
    module = tmp_path / "module.py"
    module.write_text(statement)

    assert len(trespasses(name, module)) == 1


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("resources.runs", "from ._base import Resource"),
        ("server.app", "from .._extras import needs_extra"),
        ("client", "from ._call.core import Core"),
        ("client", "from .version import __version__"),
    ],
)
def test_private_imports_from_inside_are_allowed(tmp_path, name, statement):
    module = tmp_path / "module.py"
    module.write_text(statement)

    assert trespasses(name, module) == []


@pytest.mark.parametrize("path", [pytest.param(path, id=name or PACKAGE.name) for name, path in modules()])
def test_no_module_reaches_into_another_one(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(PACKAGE.name))
        for alias in node.names
    }
    reached = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in ours and is_private(node.attr)
    ]
    assert [text for text in reached if not text.endswith("._replace")] == []  # the public method of named tuples
