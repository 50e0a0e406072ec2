"""The pages that people wrote for people, taken apart: headings, links, images and blocks of code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# These use what only Sphinx knows: they list, generate or include, and have no text of their own.
SITE_ONLY = {
    DOCS / "index.md",
    *(DOCS / "reference" / "api").glob("*.md"),
    *(DOCS / "contribute" / f"{name}.md" for name in ("changelog", "contributing", "security")),
}
LOOSE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
IMAGE = re.compile(r'<img src="(?P<source>[^"]+)" alt="(?P<text>[^"]*)"')


def written() -> list[Path]:
    """Return every page of the documentation, and those at the root and beside the examples."""
    pages = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    examples = [path for path in (ROOT / "examples").glob("*/*.md") if path.parent.is_dir()]
    return [*(ROOT / name for name in LOOSE), *sorted(pages), *sorted(examples)]


@cache
def anchors_of(path: Path) -> list[str]:
    """Return the anchors of a page that GitHub makes of its headings, and MyST as well."""
    tokens = PARSER.parse(path.read_text("utf-8"))
    headings = [tokens[place + 1] for place, token in enumerate(tokens) if token.type == "heading_open"]
    seen: Counter[str] = Counter()
    anchors = []
    for heading in headings:
        anchor = slug("".join(part.content for part in heading.children or []))
        anchors.append(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return anchors


def slug(heading: str) -> str:
    """Return a heading as it stands in a link."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


class Page:
    """A page in Markdown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text("utf-8")
        self.tokens = PARSER.parse(self.text)
        inline = [part for token in self.tokens for part in token.children or []]
        self.links = list(links(inline))
        self.images = [(str(part.attrs["src"]), part.content) for part in inline if part.type == "image"]
        self.images += [(match["source"], match["text"]) for match in IMAGE.finditer(self.text)]
        self.fences = [token.info for token in self.tokens if token.type == "fence"]
        self.prose = "\n".join(prose(token) for token in self.tokens if token.type == "inline")

    @property
    def anchors(self) -> list[str]:
        """The anchors of its headings."""
        return anchors_of(self.path)

    def fault(self, link: str) -> str | None:
        """Return the link if it is one within the project and leads nowhere."""
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            return None
        target = (self.path.parent / path).resolve() if path else self.path
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            return link
        return None


def prose(inline: Token) -> str:
    """Return the text of a paragraph or heading, with code left out."""
    parts = inline.children or []
    return "".join("``" if part.type == "code_inline" else part.content or "\n" for part in parts)


def links(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    """Yield the links among inline tokens, with their texts."""
    opened: str | None = None
    words = ""
    for token in tokens:
        if token.type == "link_open":
            opened, words = str(token.attrs["href"]), ""
        elif token.type == "link_close" and opened is not None:
            yield opened, words.strip()
            opened = None
        elif opened is not None:
            words += token.content
