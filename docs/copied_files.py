# ruff: noqa: INP001 - docs is not a package
"""Writes the files that pages show into them: `python -m docs.copied_files`.

GitHub shows the pages as well, and knows no directive that includes a file.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent
COPY = re.compile(
    r"(?P<head><!-- copy of (?P<file>\S+) -->\n\n```\w+\n).*?(?P<foot>^```\n\n<!-- end of copy -->)",
    re.DOTALL | re.MULTILINE,
)


def pages() -> list[Path]:
    """Return the pages that show a file."""
    written = (page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
    return sorted(page for page in written if COPY.search(page.read_text("utf-8")))


def with_files(page: Path) -> str:
    """Return the text of a page with today's files."""

    def copied(match: re.Match[str]) -> str:
        return match["head"] + (page.parent / match["file"]).read_text("utf-8") + match["foot"]

    return COPY.sub(copied, page.read_text("utf-8"))


if __name__ == "__main__":
    for shown in pages():
        shown.write_text(with_files(shown), "utf-8")
