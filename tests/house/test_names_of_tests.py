"""Names of tests are sentences that can be read in a log, without the name of their class."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "tests", ROOT / "src" / "airplane_runbooks" / "testing")
LONGEST = 60
# A sentence that begins with one of these has lost its subject to the class around it.
VERBS = frozenset(
    """
    are asks be can cannot costs counts cuts do does ends gets goes has have is keeps lets makes may must needs raises
    returns says sees sends sleeps starts takes tells that wakes was were will works
    """.split()  # noqa: SIM905  # fifty quotes would hide the words
)


def names_in(source: str) -> list[str]:
    """Return the names of the test functions in a module, methods included."""
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [function.name for function in functions if function.name.startswith("test_")]


def problem_of(name: str) -> str | None:
    """Return what is wrong with the name of a test, None if it is fine."""
    words = name.split("_")[1:]
    if len(name) > LONGEST:
        return f"{name} has {len(name)} characters"
    return f"{name} has no subject" if words[0] in VERBS or len(words) < 2 else None


def test_all_tests_have_names_that_are_short_sentences():
    sources = (path.read_text("utf-8") for folder in FOLDERS for path in sorted(folder.rglob("*.py")))
    names = [name for source in sources for name in names_in(source)]

    assert len(names) > 1000
    assert [problem for problem in map(problem_of, names) if problem] == []


@pytest.mark.parametrize("name", ["test_is_refused", "test_" + "a_" * 30, "test_closing"])
def test_a_name_without_a_subject_or_an_end_is_found(name):
    assert problem_of(name)
    assert names_in(f"class TestA:\n    def {name}(self): ...\n") == [name]
