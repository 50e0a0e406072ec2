"""Output of the commands: data to stdout, everything else to stderr; colours and tables on terminals only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from ..errors import escape_controls
from ..models import Hold

T = TypeVar("T")

COLOURS = {
    "Succeeded": "green",
    "Failed": "red",
    "Cancelled": "yellow",
    "Cancelling": "yellow",
    "Waiting": "magenta",
    "Active": "cyan",
}

_WHOLE = {"SLUG", "SESSION", "RUN", "PROMPT", "STATUS", "PARAMETER", "HELD"}  # columns that are never cut off

_highlight = JSONHighlighter()

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, as the API has it: one object a line.")


def notes() -> Console:
    """Return the console of what is not data: stderr."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def note(text: str) -> None:
    """Write one line to stderr."""
    notes().print(escape_controls(text), soft_wrap=True)


def is_interactive() -> bool:
    """Tell whether a person sits at a terminal, and can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def write_json(value: Any) -> None:
    """Write one JSON document as one line to stdout."""
    click.echo(msgspec.json.encode(value).decode())


def write_result(value: Any) -> None:
    """Write a result to stdout: a text as it is, anything else as JSON, over several lines on a terminal."""
    console = Console(highlight=False, markup=False, emoji=False)
    if isinstance(value, str):
        click.echo(value if not console.is_terminal else "\n".join(map(escape_controls, value.splitlines())))
    elif console.is_terminal:
        console.print(json_text(value), soft_wrap=True)
    else:
        write_json(value)


def json_text(value: Any) -> Text:
    """Return the JSON of a value for a terminal, over several lines, with control characters as escapes."""
    document = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return _highlight("\n".join(map(escape_controls, document.splitlines())))


def write_list(
    items: Iterable[T], headings: Sequence[str], row: Callable[[T], Sequence[str]], *, as_json: bool
) -> None:
    """Write items, each one as soon as it is there: as JSON, or as the rows of a table."""
    if as_json:
        for item in items:
            write_json(item)
    else:
        write_rows(headings, map(row, items))


def write_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table on a terminal; elsewhere one line for each row, with tabs between the columns and no headings."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(escape_controls, row)))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading in _WHOLE)
    for row in rows:
        table.add_row(*map(coloured, row))
    Console(highlight=False, markup=False, emoji=False).print(table)


def coloured(text: str) -> Text:
    """Return a text of a server for a terminal; names of states have colours."""
    return Text(escape_controls(text), style=COLOURS.get(text, ""))


def format_time(moment: datetime | None) -> str:
    """Return a time in UTC to the second, empty without one."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def format_hold(hold: Hold | None) -> str:
    """Return the word for a session that is held, or a prompt of it; an empty text otherwise."""
    return "" if hold is None else "held"


def format_duration(seconds: float) -> str:
    """Return a duration in the two largest units that it has."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
