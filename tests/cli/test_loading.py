"""Runbooks and tasks found in modules and files."""

from __future__ import annotations

import sys

import click
import pytest

from airplane_runbooks.cli.loading import load

MODULE = """
from airplane_runbooks.server import Context, runbook, task

@runbook
def one(context: Context) -> None: ...

@runbook
def two(context: Context) -> None: ...

@task
def three() -> None: ...

again = one
some = [two, three]
nothing = "one"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "books.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there")
    (tmp_path / "empty.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("books", "broken", "empty"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("target", "slugs"),
    [
        ("books", (["one", "two"], ["three"])),
        ("books.py", (["one", "two"], ["three"])),
        ("books:some", (["two"], ["three"])),
        ("books:again", (["one"], [])),
    ],
)
def test_runbooks_and_tasks_are_found_once_each(folder, target, slugs):
    runbooks, tasks = load(target)

    assert ([one.slug for one in runbooks], [one.slug for one in tasks]) == slugs


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere", "There is no module nowhere."),
        ("nowhere.books", "There is no module nowhere.books."),
        ("nowhere.py", "There is no module nowhere.py."),
        (".", "There is no module '.': name a module or a file, such as refunds.py."),
        ("", "There is no module '': name a module or a file, such as refunds.py."),
        ("..books", "There is no module '..books': name a module or a file, such as refunds.py."),
        ("books:five", "books has no five."),
        ("empty", "empty has no runbook and no task: decorate a function with @runbook."),
        ("books:nothing", "books:nothing has no runbook and no task: decorate a function with @runbook."),
    ],
)
def test_a_target_without_runbooks_is_refused(folder, target, message):
    with pytest.raises(click.UsageError) as caught:
        load(target)

    assert caught.value.message == message


def test_a_module_that_cannot_be_imported_says_why(folder):
    with pytest.raises(click.UsageError) as caught:
        load("broken")

    first, *lines = caught.value.message.splitlines()
    assert first == "The server cannot start: broken cannot be imported."
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.split(",")[0] for line in lines if "File" in line] == [f'  File "{folder / "broken.py"}"']
    assert lines[-1] == "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"


def test_an_error_of_syntax_is_shown_without_our_own_frames(folder):
    (folder / "broken.py").write_text("def refund(:\n")
    with pytest.raises(click.UsageError, match=r"broken\.py cannot be imported") as caught:
        load(str(folder / "broken.py"))

    assert "SyntaxError" in caught.value.message
    assert "importlib" not in caught.value.message
    assert "loading.py" not in caught.value.message
