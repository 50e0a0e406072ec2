"""The reference of the command line has today's commands."""

from __future__ import annotations

from docs.command_line_reference import PAGE, page


def test_the_reference_of_the_command_line_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run `python -m docs.command_line_reference`"


def test_the_reference_has_every_command_and_no_hidden_option():
    headings = [line.removeprefix("## ") for line in page().splitlines() if line.startswith("## ")]

    assert headings[0] == "Connection"
    assert headings[-1] == "Exit statuses"
    assert {"execute", "logs", "prompts answer", "serve", "watch"} < set(headings)
    assert "until-closed" not in page()
