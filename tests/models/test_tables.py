"""Outputs as tables."""

from __future__ import annotations

import csv
import io

import pytest

from airplane_runbooks.models.tables import csv_of, table_of


def test_objects_with_different_members_make_one_table():
    table = table_of([{"a": 1, "b": None}, {"b": True, "c": "x"}])
    assert (table.columns, table.rows) == (["a", "b", "c"], [["1", "", ""], ["", "true", "x"]])


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_a_text_like_a_formula_is_made_harmless_in_csv(cell):
    assert list(csv.reader(io.StringIO(csv_of([{cell: cell}]), newline=""))) == [[f"'{cell}"], [f"'{cell}"]]


@pytest.mark.parametrize(
    "value", [None, 1, "x", {}, [], [1], [{}], [{"a": 1}, 2], [{"a": [1]}], [{"a": {"b": 1}}], {"a": {"b": 1}}]
)
def test_other_values_have_neither_a_table_nor_csv(value):
    assert (table_of(value), csv_of(value)) == (None, None)


def test_a_table_on_a_page_is_bounded():
    table = table_of([{"a": "x" * 500}] * 150)
    assert (len(table.rows), table.count, table.is_cut) == (100, 150, True)
    assert table.rows[0] == ["x" * 200 + "…"]
    assert table_of([{str(number): 1 for number in range(21)}]) is None
    assert not table_of([{"a": 1, "b": None}]).is_cut
