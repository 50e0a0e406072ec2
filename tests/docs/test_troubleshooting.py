"""The texts on the page about troubleshooting are those that the package shows."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import airplane_runbooks

PACKAGE = Path(airplane_runbooks.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "operate" / "troubleshooting.md"
ROW = re.compile(r"^\| (?P<text>[^|]+) \|", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
# OpenSSL's and the system's
NOT_OURS = {
    "certificate verify failed",
    "wrong version number",
    "Address already in use",
    "Connection refused",
    "Name or service not known",
}
OMITTED = "…"


def texts_of(page):
    """Return the last piece of code in the first cell of each row: what stands before it is a status or a class."""
    return [codes[-1] for row in ROW.finditer(page) if (codes := CODE.findall(row["text"]))]


TEXTS = texts_of(PAGE.read_text("utf-8"))


@cache
def strings():
    """Return all strings of the package, with what is filled in left out."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else OMITTED for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%(?:\.\d)?[dfos]", OMITTED, node.value))
    return "\0".join(found)


def is_shown(text):
    """Tell whether one string of the package has the pieces of a text in their order."""
    pieces = [re.escape(piece) for piece in text.strip(f"{OMITTED} ").split(OMITTED)]
    return re.search(r"[^\0]*?".join(pieces), strings()) is not None


@pytest.mark.parametrize("text", sorted({*TEXTS} - NOT_OURS))
def test_a_text_on_the_page_is_one_that_the_package_shows(text):
    assert is_shown(text)


@pytest.mark.parametrize("text", ["the database … is used by …", "no such text"])
def test_a_text_that_the_package_does_not_show_is_found(text):
    assert not is_shown(text)


def test_the_page_has_texts_and_each_of_them_once():
    assert len(TEXTS) > 80
    assert sorted({text for text in TEXTS if TEXTS.count(text) > 1}) == ["the database does not answer"]
