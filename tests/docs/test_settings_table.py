"""The page of settings has a row for each of them, as they are now."""

from __future__ import annotations

from docs.settings_table import PAGE, page, table


def test_the_committed_table_shows_todays_settings():
    text = PAGE.read_text("utf-8")

    assert table() in text
    assert text == page(text), "run `python -m docs.settings_table`"
