"""Steps: what a session has done, as far as it has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ..schema.enums import RunStatus
from .runs import Run


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a session: a function that was run, or a question that a human was asked.

    Attributes:
        run_id: ID of the run that the step is.
        name: Name of the step.
        status: State of the step.
        output: What the step has come to, any JSON value; None before its end. A failed step's output is an object
            whose `error` holds the message, an answered prompt's the answer by parameter slug.
        created_at: When it was called for.
        started_at: When its execution began.
        ended_at: When it ended; None before.
    """

    run_id: str
    name: str
    status: RunStatus
    output: Any
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, run: Run, output: object) -> Step:
        """Return the step that a run is, with the run's output."""
        return cls(
            run_id=run.id,
            name=run.task_name or run.task_id or run.id,
            status=run.status,
            output=output,
            created_at=run.created_at,
            started_at=run.active_at,
            ended_at=run.succeeded_at or run.failed_at or run.cancelled_at,
        )

    @property
    def error(self) -> str | None:
        """The message of a failed step, if it left one."""
        message = self.output.get("error") if isinstance(self.output, dict) else None
        return message if self.status is RunStatus.FAILED and isinstance(message, str) else None
