"""Command `runs`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import click

from .. import Airplane, Run
from .arguments import name
from .connection import connected
from .output import format_time, json_option, note, write_list
from .sessions import limit_option


@click.command("runs")
@click.option("--session", type=name, metavar="ID", help="Only the runs of this session, the oldest first.")
@click.option("--task", type=name, metavar="SLUG", help="Only runs of this task.")
@limit_option
@json_option
@connected
def list_runs(airplane: Airplane, *, session: str | None, task: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first: of tasks, and of the steps and prompts of sessions."""
    if session is not None and task is not None:
        raise click.UsageError("--session and --task exclude each other.")
    every = airplane.runs.list(task_slug=task) if session is None else airplane.sessions.runs(session)
    found = list(islice(every, limit))
    if task is not None and not found:
        note(f"There is no run of a task {task}.")
    write_list(found, ("RUN", "STATUS", "NAME", "STARTED", "SESSION"), _row, as_json=as_json)


def _row(one: Run) -> Sequence[str]:
    return one.id, one.status, one.task_name or "", format_time(one.created_at), one.session_id or ""
