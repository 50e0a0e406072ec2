"""What the package says of itself: the same in every place, and not more than is tested."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from airplane_runbooks import __version__

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
SUPPORT = (ROOT / "docs" / "contribute" / "support.md").read_text("utf-8")
PYTHON = re.compile(r"Programming Language :: Python :: (3\.\d+)")
PYTHONS = [found[1] for found in map(PYTHON.fullmatch, PROJECT["classifiers"]) if found]


def floors():
    """Return the lower bound of each direct dependency, extras included, by its name."""
    groups = (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    direct = [one for group in groups for one in map(Requirement, group) if one.name != PROJECT["name"]]
    return {one.name: next(part.version for part in one.specifier if part.operator == ">=") for one in direct}


def imported_packages():
    """Return the packages outside the standard library that the modules of this one import, late imports included."""
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / "src").rglob("*.py"))
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"airplane_runbooks"}


def test_every_package_that_is_imported_is_declared():
    provided_by = packages_distributions()
    declared = {canonicalize_name(name) for name in floors()}
    found = {name: {canonicalize_name(one) for one in provided_by.get(name, [])} for name in imported_packages()}

    assert "msgspec" in found
    assert [name for name, packages in found.items() if declared.isdisjoint(packages)] == []


def test_the_page_on_support_names_the_pythons_of_the_metadata():
    row = next(line for line in SUPPORT.splitlines() if line.startswith("| Python |"))

    assert re.findall(r"3\.\d+", row) == PYTHONS


def test_the_oldest_python_is_the_one_that_is_required():
    allowed = SpecifierSet(PROJECT["requires-python"])
    before = f"3.{int(PYTHONS[0].removeprefix('3.')) - 1}"

    assert all(python in allowed for python in PYTHONS)
    assert before not in allowed


@pytest.mark.parametrize("lock", ["lowest", "telemetry-lowest"])
def test_the_lower_bounds_are_the_versions_that_are_tested(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE))

    tested = {name: SpecifierSet(f"=={bound}").contains(pinned[name]) for name, bound in floors().items()}
    assert [name for name, is_tested in tested.items() if not is_tested] == []


def test_the_changelog_begins_with_the_version_of_the_package():
    released = re.findall(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert released[0] == __version__


def test_the_package_is_built_by_the_version_that_is_locked():
    (required,) = map(Requirement, PYPROJECT["build-system"]["requires"])
    locked = re.findall(r"^hatchling==(\S+)", (ROOT / "requirements" / "build.txt").read_text("utf-8"), re.MULTILINE)

    assert str(required) in PYPROJECT["dependency-groups"]["build"]
    assert [version in required.specifier for version in locked] == [True]
