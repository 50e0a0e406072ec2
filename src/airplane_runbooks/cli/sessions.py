"""Commands about sessions: `sessions`, `watch`, `cancel` and `delete`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import click

from .. import Airplane, Session, SessionStatus
from .arguments import name
from .completing import complete_slug
from .connection import connected
from .exits import Exit
from .output import format_hold, format_time, is_interactive, json_option, note, write_list
from .runbooks import answers_option, find_runbook, wait_timeout_option
from .watching import follow

limit_option = click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most to list.")


@click.command("sessions")
@click.option(
    "--runbook",
    type=name,
    metavar="SLUG",
    shell_complete=complete_slug,
    help="Only sessions of this runbook.",
)
@click.option(
    "--status",
    type=click.Choice([status.value for status in SessionStatus], case_sensitive=False),
    metavar="STATUS",
    help="Only sessions in this state, such as Waiting.",
)
@limit_option
@json_option
@connected
def list_sessions(airplane: Airplane, *, runbook: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List sessions, the newest first."""
    runbook_id = None if runbook is None else find_runbook(airplane, runbook).id
    every = airplane.sessions.list(runbook_id=runbook_id)
    found = islice((one for one in every if status is None or one.status.lower() == status.lower()), limit)
    write_list(found, ("SESSION", "STATUS", "NAME", "STARTED", "BY", "HELD"), _row, as_json=as_json)


def _row(one: Session) -> Sequence[str]:
    return one.id, one.status, one.name, format_time(one.created_at), one.created_by or "", format_hold(one.held)


@click.command()
@click.argument("session", type=name)
@wait_timeout_option
@answers_option
@json_option
@connected
def watch(airplane: Airplane, session: str, *, wait_timeout: float | None, answers: bool, as_json: bool) -> None:
    """Follow a SESSION to its end, answer its prompts on a terminal, and write its result.

    Ctrl-C leaves the session running.
    """
    follow(airplane, session, wait_timeout=wait_timeout, as_json=as_json, answers=answers)


@click.command()
@click.argument("id", type=name)
@connected
def cancel(airplane: Airplane, id: str) -> None:
    """Cancel a session, or a run, by its ID."""
    if id.startswith("run"):
        airplane.runs.cancel(id)
        note(f"The run {id} is cancelled.")
    else:
        airplane.sessions.cancel(id)
        note(f"The session {id} is cancelled.")


@click.command()
@click.argument("session", type=name)
@click.option("--yes", "-y", is_flag=True, help="Delete it without a question.")
@connected
def delete(airplane: Airplane, session: str, *, yes: bool) -> None:
    """Delete a SESSION that has ended, with its values, result, prompts and logs.

    This cannot be undone, and takes the server's own key.
    """
    if not yes:
        if not is_interactive():
            raise click.UsageError(f"Deleting {session} cannot be undone. Agree with --yes.")
        if not click.confirm(f"Delete {session} for good?", err=True):
            click.echo("Nothing was deleted.", err=True)
            raise click.exceptions.Exit(Exit.CANCELLED)
    airplane.sessions.delete(session)
    note(f"The session {session} is deleted.")
