"""Values that a runbook shows: on a terminal, in a pipe, and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.table import Table as RichTable
from rich.text import Text

from .. import Airplane, Run
from ..errors import escape_controls
from ..models import RunKind
from ..models.tables import Table, table_of
from .output import json_text

_LONGEST_MARKDOWN = 10_000  # characters; longer texts are written as they are
_LONGEST_JSON = 10_000  # characters on a terminal


class Shown(msgspec.Struct, frozen=True, rename="camel"):
    """One value that a runbook has shown, under its name."""

    run_id: str = msgspec.field(name="runID")
    name: str
    value: Any


class ShownValues:
    """Values that the runbook of a session shows, each written once, as soon as it is known.

    Attributes:
        all: What has been written so far.
    """

    def __init__(self, airplane: Airplane, console: Console) -> None:
        self.all: list[Shown] = []
        self._airplane = airplane
        self._console = console

    def write_new(self, runs: Iterable[Run]) -> None:
        """Write the values among the runs of the session that have not been written. Raises the client's errors."""
        known = {shown.run_id for shown in self.all}
        for run in runs:
            if run.kind is RunKind.DISPLAY and run.id not in known:
                value = self._airplane.runs.get_outputs(run.id).output
                shown = Shown(run.id, run.task_name or "", value)
                self._write(shown)
                self.all.append(shown)

    def _write(self, shown: Shown) -> None:
        if self._console.is_terminal:
            self._console.print(Text(escape_controls(shown.name), style="bold"), *_rendered(shown.value), sep="\n")
        else:
            for line in (escape_controls(shown.name), *_plain(shown.value)):
                click.echo(line, err=True)


def _rendered(value: Any) -> Iterator[RenderableType]:
    """Yield what a terminal shows of a value."""
    if isinstance(value, str):
        yield _markdown(value) if len(value) <= _LONGEST_MARKDOWN else "\n".join(_lines(value))
    elif (table := table_of(value)) is not None:
        yield from _table(table)
    else:
        text = msgspec.json.encode(value).decode()
        if len(text) <= _LONGEST_JSON:
            yield json_text(value)
        else:
            yield f"{escape_controls(text[:_LONGEST_JSON])}… ({len(text):,} characters in all; --json has them.)"


def _table(table: Table) -> Iterator[RenderableType]:
    drawn = RichTable(box=None, header_style="bold", pad_edge=False)
    for name in table.columns:
        drawn.add_column(Text(escape_controls(name)))
    for row in table.rows:
        drawn.add_row(*(Text(escape_controls(cell)) for cell in row))
    yield drawn
    if table.is_cut:
        yield f"(The first {len(table.rows)} of {table.count:,} rows, long texts cut; --json has everything.)"


def _plain(value: Any) -> Iterator[str]:
    """Yield the lines of a value for a pipe: a text as it is, a table with tabs, anything else as JSON."""
    if isinstance(value, str):
        yield from _lines(value)
    elif (table := table_of(value)) is not None and not table.is_cut:
        for row in (table.columns, *table.rows):
            yield "\t".join(map(escape_controls, row))
    else:
        yield escape_controls(msgspec.json.encode(value).decode())


def _lines(text: str) -> Iterator[str]:
    return (escape_controls(line) for line in text.expandtabs(4).splitlines())


def _markdown(text: str) -> Markdown:
    """Return a text in Markdown for a terminal. HTML in it is shown as text, and control characters as escapes."""
    rendered = Markdown("", hyperlinks=False)  # of links, the addresses are shown
    rendered.parsed = _PARSER.parse(text)
    _neutralise(rendered.parsed)
    return rendered


def _neutralise(tokens: Sequence[Token]) -> None:
    for token in tokens:
        token.content = "\n".join(_lines(token.content)) + "\n" * token.content.endswith("\n")
        token.attrs = {
            name: escape_controls(value) if isinstance(value, str) else value for name, value in token.attrs.items()
        }
        _neutralise(token.children or ())


_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
