"""Extras: a missing one is named in one sentence, and the pytest plugin loads nothing of the package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

NEEDS = [
    ("airplane_runbooks.server", "server", "import airplane_runbooks.server", "starlette"),
    ("airplane_runbooks.server", "server", "import airplane_runbooks.server.settings", "sqlalchemy"),
    ("airplane_runbooks.testing.conformance", "testing", "import airplane_runbooks.testing.conformance", "trustme"),
    (
        "airplane_runbooks.server.storage.conformance",
        "testing",
        "import airplane_runbooks.server.storage.conformance",
        "pytest",
    ),
    (
        "a PostgreSQL database",
        "postgres",
        "from airplane_runbooks.server.storage.url import parse; parse('postgresql://h/d')",
        "psycopg",
    ),
]


def last_line(program: str) -> str:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    return run.stderr.splitlines()[-1]


@pytest.mark.once
@pytest.mark.parametrize(("subject", "extra", "statement", "module"), NEEDS, ids=lambda part: part.replace(" ", "-"))
def test_a_missing_extra_is_named_in_one_sentence(subject, extra, statement, module):
    line = last_line(f"import sys; sys.modules[{module!r}] = None; {statement}")

    sentence = f"{subject} needs the extra `{extra}`: pip install 'airplane-runbooks[{extra}]'"
    assert line == f"ModuleNotFoundError: {sentence}"


@pytest.mark.once
def test_a_missing_extra_keeps_the_name_of_the_module():
    program = """
import sys
sys.modules["trustme"] = None
try:
    import airplane_runbooks.testing.conformance
except ImportError as error:
    raise SystemExit(error.__suppress_context__ and error.name == "trustme")
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 1


def test_the_quick_start_lists_every_extra():
    page = (ROOT / "docs/start/quickstart.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(PROJECT["optional-dependencies"])


def test_the_pytest_plugin_loads_nothing_of_the_package():
    (plugin,) = entry_points(group="pytest11", name="airplane_runbooks")
    program = f"""
import sys, pytest
before = set(sys.modules)
import {plugin.value}
print(*sorted(set(sys.modules) - before))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.split() == [plugin.value]
