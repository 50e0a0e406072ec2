"""Commands `prompts list`, `prompts answer` and `prompts cancel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TextIO

import click

from .. import CANCEL, Airplane, Prompt, SessionStatus
from .arguments import name
from .asking import AskingEnded, ask
from .connection import connected
from .exits import Exit
from .files import send_files
from .group import CommandGroup
from .output import format_hold, format_time, is_interactive, json_option, note, notes, write_json, write_rows
from .values import read_file, read_values

_NEWEST = 500  # sessions among which open prompts are looked for


@click.group(cls=CommandGroup)
def prompts() -> None:
    """List, answer and cancel prompts."""


@prompts.command("list")
@click.argument("session", type=name, required=False)
@json_option
@connected
def list_prompts(airplane: Airplane, session: str | None, *, as_json: bool) -> None:
    """List the open prompts of a SESSION, else of all that wait among the newest 500."""
    found = (
        (session_id, prompt)
        for session_id in _waiting(airplane, session)
        for prompt in airplane.sessions.prompts(session_id)
    )
    if as_json:
        for _, prompt in found:
            write_json(prompt)
        return
    rows = (
        (one.id, session_id, format_time(one.created_at), one.description, format_hold(one.held))
        for session_id, one in found
    )
    write_rows(("PROMPT", "SESSION", "OPEN SINCE", "DESCRIPTION", "HELD"), rows)


@prompts.command()
@click.argument("id", type=name)
@click.option("--value", "-v", "pairs", multiple=True, metavar="FIELD=VALUE", help="Value of a field. Repeatable.")
@click.option("--values-file", type=click.File(), metavar="FILE", help="JSON object of values, - for standard input.")
@connected
def answer(airplane: Airplane, id: str, *, pairs: tuple[str, ...], values_file: TextIO | None) -> None:
    """Answer the prompt with this ID: by options, else by questions on a terminal."""
    prompt = airplane.prompts.get(id)
    if not pairs and values_file is None and prompt.is_open and is_interactive():
        _answer_here(airplane, prompt)
        return
    given = {} if values_file is None else read_file(values_file, "--values-file")
    values = read_values(prompt.schema, pairs, given, "values")
    airplane.prompts.submit(id, send_files(airplane, prompt.schema, values, "values"))


@prompts.command("cancel")
@click.argument("id", type=name)
@connected
def cancel_prompt(airplane: Airplane, id: str) -> None:
    """Cancel the prompt with this ID."""
    airplane.prompts.cancel(id)
    note(f"The prompt {id} is cancelled.")


def _answer_here(airplane: Airplane, prompt: Prompt) -> None:
    if prompt.held is not None:
        note(f"The prompt takes no answer for now: {prompt.held.message}")
        raise click.exceptions.Exit(Exit.REFUSED)
    try:
        values = ask(airplane, prompt, prompt.schema, notes())
    except AskingEnded:
        raise click.exceptions.Exit(Exit.REFUSED) from None
    if values is CANCEL:
        airplane.prompts.cancel(prompt.id)
    elif isinstance(values, Mapping):
        airplane.prompts.submit(prompt.id, send_files(airplane, prompt.schema, values, "values"))


def _waiting(airplane: Airplane, session: str | None) -> Iterator[str]:
    if session is not None:
        return iter([session])
    newest = islice(airplane.sessions.list(), _NEWEST)
    return (one.id for one in newest if one.status == SessionStatus.WAITING)
