"""What the store keeps. Records are immutable: a change puts a new one in place of the old, so readers need no lock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import msgspec

from ...models import (
    Parameter,
    Reviewers,
    RunStatus,
    SessionStatus,
)
from ..logs import kind_of, message_of
from .encoding import EMPTY, NULL
from .ids import API_USER, now


class RunKind(StrEnum):
    """What a run executes."""

    RUNBOOK = "runbook"
    TASK = "task"
    STEP = "step"
    PROMPT = "prompt"


class Failure(msgspec.Struct, frozen=True):
    """Why a run failed: the name of the exception's class and its message."""

    kind: str
    message: str

    @classmethod
    def of(cls, problem: BaseException, mask: Callable[[str], str] = str) -> Failure:
        """Describe an exception, with what must not be seen masked. Raises nothing."""
        return cls(mask(kind_of(problem)), message_of(problem, mask))


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a runbook. `run_id` is the run of the runbook itself; `param_values` is JSON."""

    id: str
    run_id: str
    runbook_id: str
    name: str
    status: SessionStatus = SessionStatus.PENDING
    param_values: bytes = EMPTY
    params: tuple[Parameter, ...] = ()
    created_by: str = API_USER
    created_at: datetime = msgspec.field(default_factory=now)
    updated_at: datetime = msgspec.field(default_factory=now)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a function.

    `param_values` and `output` are JSON, as anybody may see them; what is secret in them is masked, and the sealed
    forms, if there are any, have it all.

    Attributes:
        root_id: The run of the runbook whose step or prompt this is. Runs without one are root runs, which engines
            schedule.
        position: Of a child: where in the runbook it stands, once for each root run. Replay finds it by this.
        attempt: Of a step: how often it has been begun, retries and repetitions after a crash included.
        segment: Of a root run: the number of the part between two pauses that is due or being executed, from 1 on.
        answered_meanwhile: Of a root run: whether a prompt has been answered since the segment was begun.
        due_at: Of a root run: since when its segment waits for an engine; None while it is executed, paused or over.
        fencing_token: Of a root run: how often it has been begun. Each begin raises it by one, and a write that comes
            with an older token is refused, so a server that lost the run to another cannot change it any more.
        failed_starts: Of a root run: how often in a row it has been begun without getting any further, unexcused.
        source: Of a root run: digest of the code that it was started with.
        trace_context: Of a root run: W3C trace context (traceparent, newline, tracestate) below which its spans stand.
        ended_seed: The seed of the call that cancelled it.
        digests: Of a step: a keyed digest of each argument, as a JSON object; None where none were recorded.
        timeout: Seconds of execution that its author allows; None for any number.
        spent: Of a root run: microseconds of execution in the segments that have ended.
        held: Of a root run: why no server executes it for now; None if it may be executed.
    """

    id: str
    kind: RunKind
    root_id: str | None = None
    session_id: str | None = None
    task_id: str
    slug: str
    name: str
    status: RunStatus = RunStatus.QUEUED
    param_values: bytes = EMPTY
    params: tuple[Parameter, ...] = ()
    resources: dict[str, str] = {}
    env_slug: str
    output: bytes = NULL
    failure: Failure | None = None
    created_at: datetime = msgspec.field(default_factory=now)
    updated_at: datetime = msgspec.field(default_factory=now)
    active_at: datetime | None = None
    ended_at: datetime | None = None
    created_by: str = API_USER
    cancelled_by: str | None = None
    sealed_values: bytes | None = None
    sealed_output: bytes | None = None
    position: str = ""
    attempt: int = 1
    segment: int = 1
    answered_meanwhile: bool = False
    due_at: datetime | None = None
    fencing_token: int = 0
    failed_starts: int = 0
    source: str = ""
    trace_context: str = ""
    ended_seed: str = ""
    digests: bytes | None = None
    timeout: float | None = None
    spent: int = 0
    held: str | None = None

    @property
    def job_id(self) -> str:
        """ID of the next job of a root run."""
        return f"{self.id}.{self.segment}"


class Suspect(msgspec.Struct, frozen=True):
    """A root run that was being executed when a server died, and is not to be begun beside others."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a human, raised by the run of its own `run_id`. `values` is the answer as JSON, secrets masked.

    `sealed` is what was asked of whom before secrets were masked in it; None if there was nothing to mask.
    Open past `expires_at`, it is cancelled by nobody. `answered_seed` is the seed of the call that answered it.
    """

    id: str
    run_id: str
    root_id: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    reviewers: Reviewers = Reviewers()
    confirm_text: str = ""
    cancel_text: str = ""
    values: bytes = EMPTY
    created_at: datetime = msgspec.field(default_factory=now)
    submitted_at: datetime | None = None
    cancelled_at: datetime | None = None
    answered_by: str | None = None
    answered_seed: str = ""
    expires_at: datetime | None = None
    sealed: bytes | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still waits for an answer."""
        return self.submitted_at is None and self.cancelled_at is None

    @property
    def is_late(self) -> bool:
        """Whether it should have been answered by now."""
        return self.expires_at is not None and self.expires_at <= now()


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended."""

    status: RunStatus
    output: bytes = NULL
    failure: Failure | None = None
    sealed_output: bytes | None = None

    @classmethod
    def succeeded(cls, output: bytes, sealed: bytes | None = None) -> Outcome:
        """Return the end of a run that produced this JSON."""
        return cls(RunStatus.SUCCEEDED, output, sealed_output=sealed)

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        """Return the end of a run that raised; its output holds the message, as the API has it."""
        return cls(RunStatus.FAILED, error_output(failure.message), failure)

    @classmethod
    def cancelled(cls, message: str | None = None) -> Outcome:
        """Return the end of a run that was cancelled."""
        return cls(RunStatus.CANCELLED, NULL if message is None else error_output(message))


def error_output(message: str) -> bytes:
    """Return `{"error": message}` as JSON; what is not text in the message is written as a question mark."""
    return msgspec.json.encode({"error": message.encode(errors="replace").decode()})
