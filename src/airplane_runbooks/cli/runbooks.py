"""Commands about runbooks: `list` and `execute`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TextIO

import click
from msgspec import UNSET

from .. import Airplane, CallOptions, NotFound, NotSupported, Runbook
from ..errors import escape_controls
from ..models import Parameter
from ..schema.types import type_of
from .arguments import name
from .completing import complete_parameter, complete_slug
from .connection import connected
from .exits import Exit
from .files import send_files
from .lines import LineReader
from .output import is_interactive, json_option, notes, write_json, write_list, write_rows
from .values import read_file, read_values
from .watching import follow

wait_timeout_option = click.option(
    "--wait-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest wait; none by default.",
)
answers_option = click.option(
    "--answer/--no-answer", "answers", default=True, help="Answer prompts here if this is a terminal; the default."
)


@click.command("list")
@click.argument("slug", type=name, required=False, shell_complete=complete_slug)
@json_option
@connected
def list_runbooks(airplane: Airplane, slug: str | None, *, as_json: bool) -> None:
    """List the runbooks, or the parameters of the one with this SLUG."""
    if slug is not None:
        _show_parameters(find_runbook(airplane, slug), as_json=as_json)
        return
    write_list(airplane.runbooks.list(), ("SLUG", "NAME", "DESCRIPTION"), _row, as_json=as_json)


@click.command()
@click.argument("slug", type=name, shell_complete=complete_slug)
@click.option(
    "--param",
    "-p",
    "pairs",
    multiple=True,
    metavar="PARAMETER=VALUE",
    shell_complete=complete_parameter,
    help="Value of a parameter, typed by its schema: text, number, `true`, date, @PATH, else JSON. Repeat it.",
)
@click.option("--params-file", type=click.File(), metavar="FILE", help="JSON object of values, - for standard input.")
@click.option("--wait", is_flag=True, help="Wait for the end, show the progress, and write the result.")
@wait_timeout_option
@answers_option
@click.option("--yes", "-y", is_flag=True, help="Agree to the sentence of a runbook that asks for a confirmation.")
@click.option("--idempotency-key", metavar="KEY", help="Key by which a repeated command starts nothing twice.")
@json_option
@connected
def execute(
    airplane: Airplane,
    slug: str,
    *,
    pairs: tuple[str, ...],
    params_file: TextIO | None,
    wait: bool,
    wait_timeout: float | None,
    answers: bool,
    yes: bool,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Execute the runbook with this SLUG.

    The ID of its session is written at once, unless --wait is given. Ctrl-C leaves the session running.
    """
    if wait_timeout is not None and not wait:
        raise click.UsageError("--wait-timeout needs --wait.")
    given = {} if params_file is None else read_file(params_file, "--params-file")
    runbook = _describe(airplane, slug)
    every = pairs if runbook is None or not is_interactive() else _ask_for_secrets(runbook, pairs, given)
    values = read_values(None if runbook is None else runbook.parameters, every, given, "params")
    if runbook is not None and runbook.confirm and not yes:
        _confirm(runbook)
    if runbook is not None:
        values = send_files(airplane, runbook.parameters, values, "params", idempotency_key)
    options = CallOptions(idempotency_key=idempotency_key or UNSET)
    started = airplane.runbooks.execute(slug, values, options=options)
    if wait:
        notes().print(f"Session {started.session_id} has started.", soft_wrap=True)
        follow(airplane, started.session_id, wait_timeout=wait_timeout, as_json=as_json, answers=answers)
    elif as_json:
        write_json(started)
    else:
        click.echo(started.session_id)
        notes().print(f"Follow it: airplane-runbooks watch {started.session_id}", soft_wrap=True)


def _describe(airplane: Airplane, slug: str) -> Runbook | None:
    """Return the runbook with a slug; None from servers that do not list theirs. Raises NotFound."""
    try:
        return find_runbook(airplane, slug)
    except NotSupported:
        return None


def _ask_for_secrets(runbook: Runbook, pairs: Sequence[str], given: Collection[str]) -> list[str]:
    """Return pairs with the secrets that a person types unseen: those that are required, and were not given."""
    named = {*given, *(pair.partition("=")[0] for pair in pairs)}
    reader = LineReader(lambda: None)
    missing = (
        one.slug
        for one in runbook.parameters.parameters
        if one.secret and one.slug not in named and one.default is None and not one.constraints.optional
    )
    typed = {slug: reader.read(f"{escape_controls(slug)} (secret)", is_hidden=True) for slug in missing}
    return [*pairs, *(f"{slug}={text}" for slug, text in typed.items() if text)]


def _confirm(runbook: Runbook) -> None:
    """Ask a person to agree to the sentence of a runbook. Raises UsageError without a terminal, Exit after a no."""
    sentence = escape_controls(runbook.confirm)
    if not is_interactive():
        raise click.UsageError(f"{runbook.slug} asks for a confirmation: {sentence!r} Agree with --yes.")
    if not click.confirm(f"{sentence}\nStart {runbook.slug}?", err=True):
        click.echo("Nothing was started.", err=True)
        raise click.exceptions.Exit(Exit.CANCELLED)


def find_runbook(airplane: Airplane, slug: str) -> Runbook:
    """Return the runbook with a slug. Raises NotFound that names those there are."""
    runbooks = airplane.runbooks.list()
    for runbook in runbooks:
        if runbook.slug == slug:
            return runbook
    raise NotFound(404, f"there is no runbook {slug!r}; there are: {', '.join(one.slug for one in runbooks) or 'none'}")


def _show_parameters(runbook: Runbook, *, as_json: bool) -> None:
    if as_json:
        write_json(runbook)
        return
    rows = [(one.slug, _type(one), _presence(one), _first_line(one.desc)) for one in runbook.parameters.parameters]
    write_rows(("PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"), rows)


def _type(parameter: Parameter) -> str:
    name = f"list of {parameter.type}" if parameter.multi else str(parameter.type)
    allowed = _allowed(parameter)
    return (f"{name} ({allowed})" if allowed else name) + (", secret" if parameter.secret else "")


def _allowed(parameter: Parameter) -> str:
    """Describe the options of a parameter, else its regex."""
    label = type_of(parameter.type).label
    options = parameter.constraints.options or ()
    texts = [label(one["value"] if isinstance(one, dict) and "value" in one else one) for one in options]
    regex = parameter.constraints.regex
    return ", ".join(texts) or (f"matches {regex}" if regex else "")


def _presence(parameter: Parameter) -> str:
    if parameter.default is not None:
        default: Any = "***" if parameter.secret else parameter.default
        return type_of(parameter.type).label(default) if not parameter.multi else str(default)
    return "optional" if parameter.constraints.optional else "required"


def _row(runbook: Runbook) -> Sequence[str]:
    return runbook.slug, runbook.name, _first_line(runbook.description)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
