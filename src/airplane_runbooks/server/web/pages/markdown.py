"""Documentation of runbooks and the texts that they show: Markdown as HTML that is safe to show."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup

_TITLE = 1  # level of the page's own heading
_DEEPEST = 6


@lru_cache(maxsize=200)
def render_markdown(text: str) -> Markup:
    """Return the HTML of a text in Markdown.

    HTML in it is shown as text, images as links, and links to anything that could be a script are not links.
    """
    return Markup(_PARSER.render(text))  # noqa: S704 - the parser has escaped it


def _lower_headings(state: StateCore) -> None:
    """Put the headings of a text below that of the page, none of them more than one level below the one before."""
    headings = [token for token in state.tokens if token.type in ("heading_open", "heading_close")]
    highest = min((int(token.tag[1:]) for token in headings), default=1)
    level = _TITLE
    for token in headings:
        if token.type == "heading_open":
            level = min(int(token.tag[1:]) - highest + _TITLE + 1, level + 1, _DEEPEST)
        token.tag = f"h{level}"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.core.ruler.push("lower_headings", _lower_headings)
    return parser


_PARSER = _parser()
