"""Every page is short, can be read on GitHub as well, and has links that lead somewhere."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from docs import copied_files
from tests.docs.pages import DOCS, ROOT, SITE_ONLY, Page, written

PAGES = {str(path.relative_to(ROOT)): Page(path) for path in written()}
GENERATED = {"docs/reference/command-line.md", "docs/reference/errors.md"}
UNBOUND = {*GENERATED, "CHANGELOG.md"}
MOST_LINES = 250
ONLY_MYST = re.compile(r"\{[a-z][\w:-]*\}``|^:::|^% |^\(.*\)=$")
NAMES = pytest.mark.parametrize("name", PAGES)
READ_ON_GITHUB = pytest.mark.parametrize(
    "name", sorted(name for name, page in PAGES.items() if page.path not in SITE_ONLY)
)


@pytest.mark.parametrize("name", sorted(PAGES.keys() - UNBOUND))
def test_a_page_written_by_hand_has_at_most_250_lines(name):
    assert PAGES[name].text.count("\n") <= MOST_LINES


@READ_ON_GITHUB
def test_a_page_has_no_role_or_directive_that_github_shows_raw(name):
    page = PAGES[name]

    assert [fence for fence in page.fences if fence.startswith("{")] == []
    assert [line for line in page.prose.splitlines() if ONLY_MYST.search(line)] == []


@READ_ON_GITHUB
def test_every_link_of_a_page_has_a_text(name):
    """Sphinx fills an empty text in, GitHub shows nothing."""
    assert [link for link, text in PAGES[name].links if not text] == []


@NAMES
def test_links_within_the_project_lead_to_files_and_headings(name):
    assert [broken for link, _ in PAGES[name].links if (broken := PAGES[name].fault(link))] == []


@NAMES
def test_images_exist_and_are_described(name):
    page = PAGES[name]

    assert [source for source, _ in page.images if not (page.path.parent / source).exists()] == []
    assert [source for source, text in page.images if not text] == []


@NAMES
def test_links_to_other_sites_are_whole_and_encrypted(name):
    addresses = [urlsplit(link) for link, _ in PAGES[name].links if re.match(r"\w+:", link)]
    sites = [one for one in addresses if one.scheme != "mailto"]

    assert [one.geturl() for one in sites if one.scheme != "https" or "." not in (one.hostname or "")] == []


def test_every_page_is_in_a_table_of_contents():
    contents = "\n".join((DOCS / name).read_text("utf-8") for name in ("index.md", "reference/api/index.md")).split()
    pages = [path.relative_to(DOCS).with_suffix("") for path in written() if path.is_relative_to(DOCS)]

    assert [str(page) for page in pages if not {str(page), page.name} & {*contents, "index"}] == []


@pytest.mark.parametrize("path", copied_files.pages(), ids=lambda path: path.name)
def test_a_page_shows_todays_files(path):
    assert path.read_text("utf-8") == copied_files.with_files(path), "run `python -m docs.copied_files`"


def test_files_are_shown_in_pages():
    assert {"behind-a-proxy.md", "deploying.md"} <= {path.name for path in copied_files.pages()}


@pytest.mark.parametrize(
    ("text", "anchors"),
    [
        ("# Why `x` is so, and *how*\n", ["why-x-is-so-and-how"]),
        ("# A page\n\n## Same\n\n## Same\n", ["a-page", "same", "same-1"]),
    ],
)
def test_headings_have_the_anchors_that_github_makes(text, anchors, tmp_path):
    (tmp_path / "page.md").write_text(text)

    assert Page(tmp_path / "page.md").anchors == anchors


@pytest.mark.parametrize("link", ["gone.md", "page.md#gone", "#gone", "https://"])
def test_a_link_that_leads_nowhere_is_found(link, tmp_path):
    (tmp_path / "page.md").write_text(f"# A page\n\nSee [there]({link}).\n")
    page = Page(tmp_path / "page.md")

    assert page.links == [(link, "there")]
    assert page.fault(link) == (None if link == "https://" else link)
