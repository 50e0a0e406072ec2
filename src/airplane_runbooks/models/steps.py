"""Steps of a session, ended or running."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from .common import AttemptFailure, Failure
from .enums import RunKind, RunStatus
from .logs import LogLine
from .runs import Run


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a session: a function call, a prompt, or a value that the runbook shows.

    Attributes:
        run_id: ID of the step's run.
        name: Name of the step.
        status: State of the step.
        kind: Whether it is a function call (`step`), a `prompt` or a value shown (`display`); None from servers that do
            not tell.
        output: Result of the step, any JSON value; None before its end. A failed step's output is an object
            whose `error` holds the message, an answered prompt's the answer by parameter slug.
            That of a value shown is the value itself.
        failure: Reason for which it has failed; None from servers that do not tell it.
        earlier_failures: Failures of its attempts before the last one, likewise.
        logs: What it has written so far, if that was asked for.
        created_at: Time at which the runbook took the step.
        started_at: Time at which its execution began.
        ended_at: Time of its end; None before.
    """

    run_id: str
    name: str
    status: RunStatus
    output: Any
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    kind: RunKind | None = None
    failure: Failure | None = None
    earlier_failures: tuple[AttemptFailure, ...] = ()
    logs: tuple[LogLine, ...] = ()

    @classmethod
    def of(cls, run: Run, output: object, logs: tuple[LogLine, ...] = ()) -> Step:
        """Return a run as a step, with the run's output and log."""
        return cls(
            run_id=run.id,
            name=run.task_name or run.task_id or run.id,
            status=run.status,
            kind=run.kind,
            output=output,
            created_at=run.created_at,
            started_at=run.active_at,
            ended_at=run.succeeded_at or run.failed_at or run.cancelled_at,
            failure=run.error,
            earlier_failures=run.earlier_failures,
            logs=logs,
        )

    @property
    def error(self) -> str | None:
        """The message of a failed step, if it left one."""
        message = self.output.get("error") if isinstance(self.output, dict) else None
        return message if self.status is RunStatus.FAILED and isinstance(message, str) else None
