# ruff: noqa: INP001 - docs is not a package
"""Writes `docs/reference/command-line.md` from the commands themselves: `python -m docs.command_line_reference`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from airplane_runbooks.cli.app import NAME, commands
from airplane_runbooks.cli.exits import Exit

PAGE = Path(__file__).parent / "reference" / "command-line.md"

CONNECTION = ("base_url", "env", "api_key_file", "allow_insecure_http")
HEAD = f"""\
# Command line

The commands of `{NAME}`, which the extra `cli` installs. [The command line](../guides/command-line.md)
shows them at work. `python -m docs.command_line_reference` writes this page.
"""
MORE = {"serve": "\nThe other options are the [settings](../operate/settings.md) of servers.\n"}
STATUSES = {
    Exit.OK: "success",
    Exit.FAILED: "the session has failed, or `generate --check` has found a difference",
    Exit.USAGE: "an option, an argument or a value cannot work",
    Exit.UNREACHABLE: "the server cannot be reached, does not accept the key, or has failed",
    Exit.CANCELLED: "the session was cancelled, or its start was not agreed to",
    Exit.TIMED_OUT: "the session has not ended in time",
    Exit.REFUSED: "the server or the database refused: there is no such object, its state does not allow it, or your"
    " user may not do this",
    Exit.INTERRUPTED: "Ctrl-C",
    Exit.BROKEN_PIPE: "the reader of the output has gone",
}


def page() -> str:
    """Return the text of the page."""
    root = click.Context(commands, info_name=NAME)
    every = list(walk(root))
    shared = next(options for _, _, options in every if any(one.name == "base_url" for one in options))
    blocks = [HEAD]
    blocks += [
        "## Connection\n\nThe commands that talk to a server have these options, too:\n",
        table(root, [one for one in shared if one.name in CONNECTION]),
    ]
    for context, command, options in every:
        own = [one for one in options if one.name not in CONNECTION]
        blocks += [section(context, command), table(context, own)]
    rows = [f"| {status.value} | {STATUSES[status]} |\n" for status in Exit]
    blocks.append("## Exit statuses\n\n| status | meaning |\n|---|---|\n" + "".join(rows))
    return "\n".join(filter(None, blocks))


def walk(context: click.Context) -> Iterator[tuple[click.Context, click.Command, list[click.Option]]]:
    """Yield the commands below a group in the order of their names, each with its context and its own options."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name, command in sorted(group.commands.items()):
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from walk(inner)
        else:
            options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
            yield inner, command, options


def section(context: click.Context, command: click.Command) -> str:
    """Return the heading, the usage and the explanation of a command."""
    pieces = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    title = context.command_path.removeprefix(f"{NAME} ")
    words = with_code(inspect.cleandoc(command.help or ""))
    return f"## {title}\n\n```text\n{pieces}\n```\n\n{words}\n{MORE.get(title, '')}"


def table(context: click.Context, options: Iterable[click.Option]) -> str:
    """Return options as a table, empty without any."""
    records = [record for one in options if (record := one.get_help_record(context)) is not None]
    rows = [f"| `{cell(names)}` | {with_code(cell(words))} |\n" for names, words in records]
    return "| option | meaning |\n|---|---|\n" + "".join(rows) if rows else ""


def cell(text: str) -> str:
    """Return a text for a cell of a table, in one line."""
    return " ".join(text.split()).replace("|", "\\|")


def with_code(text: str) -> str:
    """Mark options as code, which would have their hyphens replaced otherwise."""
    return re.sub(r"(?<![`\w-])--[a-z-]+", r"`\g<0>`", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
