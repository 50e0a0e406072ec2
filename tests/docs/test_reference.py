"""The API reference names every public module, and links lead to pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import airplane_runbooks

ROOT = Path(__file__).parents[2]
PACKAGE = Path(airplane_runbooks.__file__).parent
REFERENCE = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "reference" / "api").glob("*.md"))
DOCUMENTED = re.findall(r"auto(?:module|class):: (\S+)", REFERENCE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


PUBLIC = ("", ".middleware", ".models", ".operations", ".server", ".testing", ".webhooks")
CONFORMANCE = (".testing.conformance", ".server.storage.conformance")
TRANSPORTS = (".transports.asyncio", ".transports.threaded", ".transports.urllib3")


@pytest.mark.parametrize("name", [*PUBLIC, *CONFORMANCE, *TRANSPORTS])
def test_the_reference_documents_every_public_module(name):
    module = PACKAGE.name + name

    assert [documented for documented in DOCUMENTED if documented == module or documented.startswith(f"{module}.")]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_a_page_outside_the_documentation_lead_to_files(page):
    assert [link for link in LINK.findall((ROOT / page).read_text("utf-8")) if not (ROOT / link).exists()] == []


PAGES_WITH_PATHS = ("CONTRIBUTING.md", "docs/contribute/architecture.md", "SECURITY.md")
PATH = re.compile(r"`([\w./-]+(?:/|\.py|\.html))`")


@pytest.mark.parametrize("page", PAGES_WITH_PATHS)
def test_paths_named_on_a_page_for_contributors_exist(page):
    named = set(PATH.findall((ROOT / page).read_text("utf-8")))
    places = (ROOT, PACKAGE, PACKAGE / "server")
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}

    assert named
    assert sorted(name for name in named - tests if not any((place / name).exists() for place in places)) == []
