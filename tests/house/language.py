"""Finds sentences that are not plain English: `python tests/house/language.py` names their files and lines.

Paths as arguments limit it to the files below them. It needs nothing but the standard library, so it also runs where
only a linter is installed.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "benchmarks", "docs", "examples")
LOOSE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "noxfile.py", "pyproject.toml")
SUFFIXES = (".py", ".md", ".html", ".toml")
SKIPPED = ("docs/_build/", "tests/house/", "tests/compat/node/")  # built, about these words, or not ours

# A docstring opens with its noun or verb, never with a clause that stands for one.
CLAUSES = re.compile(r"(?:wh(?:at|o|om|ose|ich|en|ere|y|ether)(?:so)?(?:ever)?|how(?:ever)?|that)\b", re.IGNORECASE)
# "A pause is no error": say "is not an error". "There is no key" and "is no longer" are ordinary English.
NEGATED = re.compile(
    r"(?<!\bthere\s)\b(?:is|are|was|were)\s+no\s+(?!longer\b|more\b|less\b|fewer\b|\w+er\s+than\b)\w+", re.IGNORECASE
)
# Name who or what is meant: the caller, the server, the value.
PRONOUNS = re.compile(r"\b(?:somebody|nobody|who(?:m|so)?ever|what(?:so)?ever)\b", re.IGNORECASE)
# These can be right, and are counted only.
RELATIVES = re.compile(r"\b(?:anybody|everybody|whichever|what)\b", re.IGNORECASE)

QUOTED = re.compile(r"`[^`]*`|\"[^\"\n]{0,200}\"|\u201c[^\u201d]*\u201d")
FENCED = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?!\{(?:note|tip|warning)\}).*?^(?P=fence)$|^>.*?$", re.MULTILINE | re.DOTALL
)
MARKUP = re.compile(r"\{[{%#].*?[}%#]\}|<[^>]*>", re.DOTALL)
HASH = re.compile(r"(?:^|(?<=\s))#\s.*$")


class Text(NamedTuple):
    """A passage that people read: its kind, the line on which it begins, and its words."""

    kind: str
    line: int
    words: str


class Finding(NamedTuple):
    """A sentence to write again."""

    path: str
    line: int
    rule: str
    words: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.words}"


def blank(pattern: re.Pattern[str], words: str) -> str:
    """Replace matches by dots, so that the rest keeps its lines."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", ".", match[0]), words)


def strings(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Yield the string literals below a node, each f-string as a whole."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr) or (isinstance(child, ast.Constant) and isinstance(child.value, str)):
            yield child
        else:
            yield from strings(child)


def literal(node: ast.Constant | ast.JoinedStr) -> str:
    """Return the text of a string literal, with empty braces for the values in an f-string."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def comments(source: str) -> Iterator[Text]:
    """Yield comments, those on consecutive lines as one."""
    block: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row = token.start[0]
            if block and block[-1][0] != row - 1:
                yield Text("comment", block[0][0], "\n".join(words for _, words in block))
                block = []
            block.append((row, token.string.lstrip("#")))
    if block:
        yield Text("comment", block[0][0], "\n".join(words for _, words in block))


def python_texts(source: str) -> Iterator[Text]:
    """Yield the docstrings, comments and other string literals of a module."""
    tree = ast.parse(source)
    docstrings: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0].value if node.body and isinstance(node.body[0], ast.Expr) else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                docstrings.add(first)
                yield Text("docstring", first.lineno, first.value)
    for string in strings(tree):
        if string not in docstrings:
            yield Text("string", string.lineno, literal(string))
    yield from comments(source)


def texts(path: str, source: str) -> Iterator[Text]:
    """Yield the passages of a file that people read."""
    if path.endswith(".py"):
        yield from python_texts(source)
    elif path.endswith(".toml"):
        yield Text("comment", 1, "\n".join("".join(HASH.findall(line)) for line in source.splitlines()))
    elif path.endswith(".html"):
        yield Text("page", 1, blank(MARKUP, source))
    else:
        yield Text("prose", 1, blank(FENCED, source))


def search(rule: str, pattern: re.Pattern[str], path: str, text: Text) -> Iterator[Finding]:
    """Yield what a pattern finds in a passage outside of quotations and code."""
    words = blank(QUOTED, text.words)
    for match in pattern.finditer(words):
        excerpt = words[max(0, match.start() - 40) : match.end() + 40]
        yield Finding(path, text.line + words.count("\n", 0, match.start()), rule, " ".join(excerpt.split()))


def findings(path: str, source: str) -> Iterator[Finding]:
    """Yield the sentences of a file to write again."""
    for text in texts(path, source):
        if text.kind == "docstring" and CLAUSES.match(text.words.lstrip()):
            yield Finding(path, text.line, "opens with a clause", text.words.strip().splitlines()[0])
        yield from search("is no X", NEGATED, path, text)
        if text.kind in ("docstring", "comment", "prose") or (path.startswith("src/") and text.kind == "string"):
            yield from search("pronoun", PRONOUNS, path, text)


def relatives(path: str, source: str) -> int:
    """Count the words that often open a clause without a noun before it."""
    read = (text for text in texts(path, source) if text.kind != "string")
    return sum(1 for text in read for _ in search("relative", RELATIVES, path, text))


def files(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield the name below the project's folder, and the content, of every file that people read."""
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in SUFFIXES]
    for path in sorted([*found, *(root / name for name in LOOSE)]):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(SKIPPED):
            yield name, path.read_text("utf-8")


def below(path: str, entries: Iterable[str]) -> bool:
    """Tell whether a file is among some files and folders."""
    return any(path == entry or path.startswith(entry.rstrip("/") + "/") for entry in entries)


def summary(found: Iterable[Finding]) -> str:
    """Return the number of findings by rule."""
    counts = Counter(finding.rule for finding in found)
    return ", ".join(f"{rule}: {count}" for rule, count in counts.most_common()) or "none"


def main(wanted: list[str]) -> int:
    """Print what is to be written again, and return the exit status."""
    sources = [(path, source) for path, source in files() if not wanted or below(path, wanted)]
    found = [finding for path, source in sources for finding in findings(path, source)]
    print(*found, f"Sentences to write again: {summary(found)}.", sep="\n")
    print(f"Counted only (what, whichever, anybody, everybody): {sum(relatives(*each) for each in sources)}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
