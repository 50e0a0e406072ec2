"""Command `logs`: what steps and tasks have written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import click
import msgspec
from rich.console import Console
from rich.text import Text

from .. import Airplane, AirplaneError, PollPolicy, Run
from ..errors import escape_controls
from ..models import LogLine, LogSeverity
from .arguments import name
from .connection import connected
from .output import json_option, write_json

_LIVE = PollPolicy(max_delay=1.0)
_STYLES = {LogSeverity.DEBUG: "dim", LogSeverity.WARNING: "yellow", LogSeverity.ERROR: "red"}


@click.command()
@click.argument("id", type=name)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until the end of the session or run.")
@json_option
@connected
def logs(airplane: Airplane, id: str, *, follow: bool, as_json: bool) -> None:
    """Write the log of a run, or of all steps of a session, by its ID.

    The lines of a session begin with the name of their step, one step after the other; with --follow, as they come.
    """
    is_run = id.startswith("run")
    log: _RunLog | _SessionLog = _RunLog(airplane, id) if is_run else _SessionLog(airplane, id)
    writer = _Writer(as_json=as_json, named=not is_run)

    def write_new() -> None:
        for run, line in log.new_lines():
            writer.write(run, line)

    def look(*_: object) -> None:
        with suppress(AirplaneError):  # the next look, or the last one, tells
            write_new()

    write_new()
    if follow:
        log.wait(look)
        write_new()


class _RunLog:
    """Log of one run, which knows how far it was read."""

    def __init__(self, airplane: Airplane, run_id: str, run: Run | None = None) -> None:
        self._airplane = airplane
        self._run_id = run_id
        self._run = run
        self._last: str | None = None

    def new_lines(self) -> Iterator[tuple[Run, LogLine]]:
        """Yield the lines since the last call, with their run."""
        self._run = self._run or self._airplane.runs.get(self._run_id)
        for line in self._airplane.runs.logs(self._run_id, after=self._last):
            self._last = line.id
            yield self._run, line

    def wait(self, look: Callable[..., object]) -> None:
        """Wait for the end of the run, and call a function meanwhile."""
        self._airplane.runs.wait(self._run_id, wait_timeout=None, poll=_LIVE, on_progress=look, raise_on_failure=False)


class _SessionLog:
    """Logs of the steps of a session. The log of a step that has ended is read once."""

    def __init__(self, airplane: Airplane, session_id: str) -> None:
        self._airplane = airplane
        self._session_id = session_id
        self._open: dict[str, _RunLog] = {}
        self._whole: set[str] = set()

    def new_lines(self) -> Iterator[tuple[Run, LogLine]]:
        """Yield the lines since the last call, with their steps, in the order of these."""
        for run in self._airplane.sessions.runs(self._session_id):
            if run.id not in self._whole:
                log = self._open.setdefault(run.id, _RunLog(self._airplane, run.id, run))
                yield from log.new_lines()
                if run.status.is_terminal:
                    self._whole.add(run.id)

    def wait(self, look: Callable[..., object]) -> None:
        """Wait for the end of the session, and call a function meanwhile."""
        self._airplane.sessions.wait(
            self._session_id, wait_timeout=None, poll=_LIVE, on_progress=look, raise_on_failure=False
        )


class _Writer:
    """Writes lines to stdout, with the names of their steps if there may be several."""

    def __init__(self, *, as_json: bool, named: bool) -> None:
        self._as_json = as_json
        self._named = named
        self._console = Console(highlight=False, markup=False, emoji=False)

    def write(self, run: Run, line: LogLine) -> None:
        """Write one line."""
        name = run.task_name or run.task_id or run.id
        if self._as_json:
            write_json({"runID": run.id, "step": name, **msgspec.to_builtins(line)})
        elif self._console.is_terminal:
            text = Text(escape_controls(line.text), style=_STYLES.get(line.severity, ""))
            self._console.print(Text.assemble((f"{escape_controls(name)}  ", "cyan"), text) if self._named else text)
        else:
            click.echo("\t".join(map(escape_controls, (name, line.text) if self._named else (line.text,))))
