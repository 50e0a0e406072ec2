"""The pages of settings and of variables have a row for each of them, as they are now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import airplane_runbooks
from airplane_runbooks.server.configuration import all_settings
from docs.settings_table import PAGE, VARIABLES_PAGE, page, table, variables

SOURCES = sorted(Path(airplane_runbooks.__file__).parent.rglob("*.py"))
VARIABLE = re.compile(r"\bAIRPLANE_[A-Z_]*[A-Z]\b")


@pytest.mark.parametrize(("path", "made"), [(PAGE, table()), (VARIABLES_PAGE, variables())], ids=lambda one: "")
def test_the_committed_table_shows_todays_settings(path, made):
    text = path.read_text("utf-8")

    assert made in text
    assert text == page(text, made), "run `python -m docs.settings_table`"


def test_the_page_of_variables_names_all_that_are_read():
    read = {name for path in SOURCES for name in VARIABLE.findall(path.read_text("utf-8"))}
    settings = {setting.variable for setting in all_settings() if setting.kind is not None}
    files = {f"{setting.variable}_FILE" for setting in all_settings() if setting.kind and setting.kind.is_secret}

    assert set(VARIABLE.findall(VARIABLES_PAGE.read_text("utf-8"))) == read | settings | files
