"""The page about errors has a row for each error of the client."""

from __future__ import annotations

import re
from pathlib import Path

import airplane_runbooks
from airplane_runbooks import AirplaneError

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "errors.md"
ROW = re.compile(r"^\| (?P<bold>\**)`(?P<name>\w+)`\**(?:, an? `(?P<also>\w+)`)? \|", re.MULTILINE)


def test_the_table_of_errors_has_each_class_once() -> None:
    public = {name: getattr(airplane_runbooks, name) for name in airplane_runbooks.__all__}
    errors = [name for name, found in public.items() if isinstance(found, type) and issubclass(found, AirplaneError)]
    rows = [row["name"] for row in ROW.finditer(PAGE.read_text("utf-8"))]
    assert sorted(rows) == sorted(set(errors) - {"AirplaneError"})


def test_the_table_of_errors_shows_the_tree_of_classes() -> None:
    parent = AirplaneError
    for row in ROW.finditer(PAGE.read_text("utf-8")):
        found = getattr(airplane_runbooks, row["name"])
        if row["bold"]:
            parent = found
        assert found.__bases__[0] is (AirplaneError if row["bold"] else parent)
        assert row["also"] == (found.__bases__[1].__name__ if len(found.__bases__) > 1 else None)
