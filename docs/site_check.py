# ruff: noqa: INP001 - docs is not a package
"""Checks the built site: `python docs/site_check.py docs/_build`.

Its index of objects has every public name. Its search finds the page about troubleshooting by each error text there.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from sphinx.search.en import SearchEnglish

PACKAGE = "airplane_runbooks"
MODULES = ("", ".models", ".operations", ".server", ".server.events", ".testing", ".webhooks", ".transports.asyncio")
TROUBLESHOOTING = "operate/troubleshooting"
TEXT = re.compile(r"^\| (?P<cell>[^|]+) \|", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
NOT_SEARCHED = 3  # letters, of which a word has to have as many to be searched for


def main() -> None:
    """Check the site in the folder that the argument names."""
    site = Path(sys.argv[1])
    problems = [f"the reference lacks {name}" for name in missing_names(site)]
    problems += [f"search does not find {text!r}" for text in texts_not_found(site)]
    if problems:
        sys.exit("\n".join(problems))


def missing_names(site: Path) -> Iterator[str]:
    """Yield the public names that the site does not describe."""
    with (site / "objects.inv").open("rb") as file:
        for _ in range(4):  # lines of its head
            file.readline()
        lines = zlib.decompress(file.read()).decode().splitlines()
    described = {line.split(maxsplit=1)[0] for line in lines}
    last_parts = {name.rpartition(".")[2] for name in described}
    for suffix in MODULES:
        module = import_module(PACKAGE + suffix)
        public = getattr(module, "__all__", None) or defined_in(module)
        yield from (f"{module.__name__}.{name}" for name in public if name not in last_parts)


def defined_in(module: ModuleType) -> list[str]:
    """Return the public names that a module defines: classes, functions, and objects of its classes."""
    kinds = {name: (value, type(value)) for name, value in vars(module).items() if not name.startswith("_")}
    return [
        name for name, owners in kinds.items() if module.__name__ in map(owner, owners) and owners[1] is not TypeVar
    ]


def owner(thing: object) -> str | None:
    """Return the name of the module that defines a class or function."""
    return getattr(thing, "__module__", None)


def texts_not_found(site: Path) -> Iterator[str]:
    """Yield the error texts for which the search does not find the page, as it does: each word has to be there."""
    index = json.loads((site / "searchindex.js").read_text("utf-8").removeprefix("Search.setIndex(").rstrip(")"))
    place = index["docnames"].index(TROUBLESHOOTING)
    language = SearchEnglish({})
    page = (Path(__file__).parent / f"{TROUBLESHOOTING}.md").read_text("utf-8")
    for text in (code for row in TEXT.finditer(page) for code in CODE.findall(row["cell"])):
        words = [word for word in language.split(text.lower()) if language.word_filter(word)]
        if not all(place in found(index, language.stem(word)) for word in words if len(word) >= NOT_SEARCHED):
            yield text


def found(index: dict[str, dict[str, int | list[int]]], stem: str) -> set[int]:
    """Return the numbers of the pages that have a word or, as a part of words, its stem."""
    pages: set[int] = set()
    for kind in ("terms", "titleterms"):  # a word of a page's title is only in the latter
        for term, places in index[kind].items():
            if stem in term:
                pages |= {places} if isinstance(places, int) else set(places)
    return pages


if __name__ == "__main__":
    main()
