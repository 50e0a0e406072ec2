"""The examples of the README and of the documentation run, and print what stands below them."""

from __future__ import annotations

import code as code_module
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)]
FENCED = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[tuple[str, str]]:
    """Return the page's blocks of code and of output in their order."""
    return [(match[1], match[2]) for match in FENCED.finditer(page.read_text("utf-8"))]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(kind == "python" for kind, _ in examples(page))], ids=str
)
def test_the_examples_of_a_page_run_and_print_what_they_say(page: Path) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    printed = ""
    try:
        for kind, text in examples(page):
            if kind == "python":
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    exec(compile(text, str(page), "exec", dont_inherit=True), names)
                printed = output.getvalue()
            elif printed:
                assert printed == text
                printed = ""
    finally:
        for thing in names.values():
            if hasattr(thing, "close") and not isinstance(thing, type):
                thing.close()


README = examples(ROOT / "README.md")


def test_the_readmes_example_can_be_pasted_into_a_python_prompt() -> None:
    """A prompt ends a block at its first empty line, and takes no line of less indentation before one."""
    code, expected = (next(text for kind, text in README if kind == wanted) for wanted in ("python", "text"))
    output, errors = io.StringIO(), io.StringIO()
    prompt = code_module.InteractiveConsole()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        for line in code.splitlines():
            prompt.push(line)
        prompt.push("")
    assert errors.getvalue() == ""
    assert output.getvalue() == expected


def test_there_are_examples_to_run() -> None:
    assert sum(kind == "python" for page in PAGES for kind, _ in examples(page)) > 10
