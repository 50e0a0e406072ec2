"""Outputs as tables: lists of flat objects, for people and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from ..schema.types.base import as_text

_MOST_ROWS = 100  # to look at
_MOST_COLUMNS = 20
_LONGEST_CELL = 200  # characters to look at
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table(msgspec.Struct, frozen=True):
    """The first rows of a list of objects. `count` is that of all rows; `is_cut` is True if something is left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    count: int
    is_cut: bool


def table_of(value: Any) -> Table | None:
    """Return a JSON value as a table; None unless it is a list of flat objects with few different members."""
    columns = _columns(value)
    if columns is None or len(columns) > _MOST_COLUMNS:
        return None
    full = [[_cell(row, name) for name in columns] for row in value[:_MOST_ROWS]]
    rows = [[f"{cell[:_LONGEST_CELL]}…" if len(cell) > _LONGEST_CELL else cell for cell in row] for row in full]
    return Table(columns, rows, len(value), is_cut=rows != full or len(rows) < len(value))


def csv_of(value: Any) -> str | None:
    """Return a JSON value as CSV (RFC 4180); None unless it is a list of flat objects.

    Spreadsheets take a text for a formula that begins like one, so such a text gets an apostrophe in front.
    """
    columns = _columns(value)
    if columns is None:
        return None
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(map(_harmless, columns))
    writer.writerows([_harmless(row.get(name)) for name in columns] for row in value)
    return written.getvalue()


def _columns(value: Any) -> Sequence[str] | None:
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) and row for row in value):
        return None
    if any(isinstance(cell, dict | list) for row in value for cell in row.values()):
        return None
    return list(dict.fromkeys(name for row in value for name in row))


def _cell(row: dict[str, Any], name: str) -> str:
    cell = row.get(name)
    return "" if cell is None else as_text(cell)


def _harmless(cell: Any) -> str:
    text = "" if cell is None else as_text(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(_FORMULA) else text
