"""Following a session to its end: progress on a terminal, prompts, and the result."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from .. import (
    Airplane,
    AirplaneError,
    Forbidden,
    ParameterSchema,
    PollPolicy,
    Prompt,
    PromptAnswer,
    ResultUnavailable,
    Session,
    SessionCancelled,
    SessionFailed,
    SessionStatus,
    Step,
)
from ..errors import escape_controls
from ..models import Hold, RunKind
from .asking import AskingEnded, ask
from .exits import Exit, exit_of_end
from .files import send_files
from .output import coloured, format_duration, is_interactive, notes, write_json, write_result
from .showing import Shown, ShownValues

_LIVE = PollPolicy(max_delay=1.0)  # what a person looks at is a second old at most
_FOR_THE_RESULT = 60.0
_IS_HELD = "the session is held: "  # with which our server begins the reason
_FOR_OTHERS = {"self_approval", "not_a_reviewer"}  # codes of servers that take an answer of other users only
_SHORTEST = 0.001  # seconds to wait once the time is over: the wait itself tells that it is


def follow(airplane: Airplane, session_id: str, *, wait_timeout: float | None, as_json: bool, answers: bool) -> None:
    """Wait for a session, show its progress, and write its result. Raises Exit if it has not succeeded.

    Args:
        airplane: The client.
        session_id: The session.
        wait_timeout: Seconds to wait at most; None waits for ever.
        as_json: Whether to write the session as JSON in place of its result.
        answers: Whether a person at a terminal may answer its prompts.
    """
    console = notes()
    shown = ShownValues(airplane, console)
    display = _Display(airplane, session_id, console, shown)
    try:
        session = _wait(airplane, session_id, wait_timeout, display, answers=answers and is_interactive())
    except (KeyboardInterrupt, EOFError, click.Abort):
        console.print(
            f"\nSession {session_id} goes on. Return to it: airplane-runbooks watch {session_id}", soft_wrap=True
        )
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None
    display.write_rest()
    session = _with_result(airplane, session)
    if as_json:
        _write_session(session, shown.all)
    if session.status != SessionStatus.SUCCEEDED:
        failure = SessionCancelled if session.status == SessionStatus.CANCELLED else SessionFailed
        click.echo(f"Error: {failure(session)}", err=True)
    elif not as_json:
        _show_result(session, console)
    raise click.exceptions.Exit(exit_of_end(session))


def _wait(
    airplane: Airplane, session_id: str, wait_timeout: float | None, display: _Display, *, answers: bool
) -> Session:
    console = display.console
    until = None if wait_timeout is None else time.monotonic() + wait_timeout
    asked: set[str] = set()

    def on_prompt(prompt: Prompt, schema: ParameterSchema) -> PromptAnswer:
        if prompt.id in asked:
            return None
        asked.add(prompt.id)
        if not answers:
            hint = f"airplane-runbooks prompts answer {prompt.id}"
            console.print(f"Session {session_id} waits for an answer: {hint}", soft_wrap=True)
            return None
        with display.paused():
            try:
                answer = ask(airplane, prompt, schema, console, until=until)
            except AskingEnded:
                return None
        return send_files(airplane, schema, answer, "values") if isinstance(answer, Mapping) else answer

    is_live = console.is_terminal and not console.is_dumb_terminal and console.file.isatty()
    left = wait_timeout
    with display.shown() if is_live else nullcontext():
        while True:
            try:
                return airplane.sessions.wait(
                    session_id,
                    wait_timeout=left,
                    poll=_LIVE if is_live else None,
                    on_progress=display.update,
                    on_prompt=on_prompt,
                    raise_on_failure=False,
                )
            except Forbidden as error:
                if error.code not in _FOR_OTHERS:
                    raise
                reason = escape_controls(error.message)
                console.print(f"This is for another user to answer: {reason}. Waiting goes on.", soft_wrap=True)
                left = None if until is None else max(until - time.monotonic(), _SHORTEST)


class _Display:
    """The session and its steps on a terminal, drawn anew at each change, below what the runbook shows.

    Where it is not started, only what the runbook shows is written.

    Attributes:
        console: The terminal or file.
    """

    def __init__(self, airplane: Airplane, session_id: str, console: Console, shown: ShownValues) -> None:
        self.console = console
        self._airplane = airplane
        self._shown = shown
        self._session_id = session_id
        self._steps: Sequence[Step] = ()
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")
        self._live: Live | None = None
        self._is_complete = False
        self._last: RenderableType = ""
        self._hold: Hold | None = None  # what was said of the session last

    @contextmanager
    def shown(self) -> Generator[None]:
        """Show the display until the end of a `with` statement."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Leave the terminal to a question, if the display is shown at all."""
        if self._live is None:
            yield
            return
        self._stop()
        yield
        self._start()

    def _start(self) -> None:
        # A new one each time: one that is started again overwrites what was written meanwhile.
        self._live = Live(self._last, console=self.console, refresh_per_second=8)
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, session: Session, elapsed: float) -> None:
        """Draw what is known now. Steps that cannot be read just now stay as they were."""
        del elapsed
        self._tell_hold(session)
        with suppress(AirplaneError):
            runs = self._airplane.sessions.runs(session.id or self._session_id)
            self._shown.write_new(runs)
            steps = (run for run in runs if run.task_id != session.runbook_id and run.kind is not RunKind.DISPLAY)
            self._steps = [Step.of(run, None) for run in steps]
            self._is_complete = session.status.is_terminal
        self._last = self._draw(session)
        if self._live is not None:
            self._live.update(self._last, refresh=True)

    def _tell_hold(self, session: Session) -> None:
        """Say once that the session is held, and why."""
        if session.held is not None and session.held != self._hold:
            reason = escape_controls(session.held.message.removeprefix(_IS_HELD))
            self.console.print(f"Session {self._session_id} is held: {reason}", soft_wrap=True)
        self._hold = session.held

    def write_rest(self) -> None:
        """Write what the runbook has shown and no update could read, or say that it cannot be read."""
        if self._is_complete:
            return
        try:
            self._shown.write_new(self._airplane.sessions.runs(self._session_id))
        except AirplaneError as error:
            self.console.print(f"What the runbook has shown cannot be read: {error}", soft_wrap=True)

    def _draw(self, session: Session) -> RenderableType:
        now = datetime.now(UTC)
        table = Table.grid(padding=(0, 2))
        for step in self._steps:
            ends = (step.started_at or step.created_at, step.ended_at or now)
            table.add_row(coloured(step.status), coloured(step.name), _between(*ends))
        ended = session.updated_at if session.status.is_terminal else now
        heading = Table.grid(padding=(0, 2))
        name = session.name or self._session_id
        heading.add_row(coloured(session.status), coloured(name), _between(session.created_at, ended or now))
        return Group(table, heading if session.status.is_terminal else _beside(self._spinner, heading))


def _beside(*parts: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(*parts)
    return grid


def _between(start: datetime | None, end: datetime) -> str:
    """Return the time between two moments; the clocks that told them may differ."""
    return "" if start is None else format_duration((end - start).total_seconds())


def _with_result(airplane: Airplane, session: Session) -> Session:
    """Return the session with its result, for which servers may want one more call."""
    if session.status != SessionStatus.SUCCEEDED or session.raw_output is not msgspec.UNSET:
        return session
    with suppress(ResultUnavailable):
        result = airplane.sessions.result(session.id, wait_timeout=_FOR_THE_RESULT)
        return msgspec.structs.replace(session, raw_output=msgspec.Raw(msgspec.json.encode(result)))
    return session


def _write_session(session: Session, shown: Sequence[Shown]) -> None:
    """Write a session as JSON, with what its runbook has shown as a further member."""
    members = msgspec.json.decode(msgspec.json.encode(session), type=dict[str, msgspec.Raw])
    write_json({**members, **({"shown": shown} if shown else {})})


def _show_result(session: Session, console: Console) -> None:
    if session.raw_output is msgspec.UNSET:
        console.print("The session has succeeded. This server does not tell results.")
    else:
        write_result(session.output)
