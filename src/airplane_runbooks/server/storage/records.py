"""Records of the store. They are immutable: a change replaces a record by a new one, so readers need no lock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

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
    """Kind of a run: what it executes."""

    RUNBOOK = "runbook"
    TASK = "task"
    STEP = "step"
    PROMPT = "prompt"
    DISPLAY = "display"  # which executes nothing, and has ended from the start


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Reason of a run that has failed, or that its own code has cancelled.

    Attributes:
        kind: Name of the exception's class.
        message: Its message.
        step: Of a root run: name of the step whose failure ended it, and whose exception this was.
        step_run_id: ID of that step's run.
    """

    kind: str
    message: str
    step: str | None = None
    step_run_id: str | None = None

    @classmethod
    def of(cls, problem: BaseException, mask: Callable[[str], str] = str) -> Failure:
        """Describe an exception, with secrets masked. Never raises."""
        return cls(mask(kind_of(problem)), message_of(problem, mask))

    @property
    def text(self) -> str:
        """All of it in one text."""
        said = f"{self.kind}: {self.message}"
        return said if self.step is None else f"step {self.step!r} failed: {said}"


class AttemptFailure(msgspec.Struct, frozen=True):
    """Failure of an attempt of a step that was tried again."""

    attempt: int
    kind: str
    message: str


MOST_EARLIER_FAILURES = 20  # kept of a step, the latest ones
_LONGEST_EARLIER_MESSAGE = 1000  # characters


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


class SessionEntry(NamedTuple):
    """A session as a search reads it.

    Attributes:
        place: Place among all sessions; later ones have larger places.
        env_slug: Environment of its root run.
        param_values: JSON in which secrets are masked; null if it takes more than `LONGEST_SEARCHED` bytes.
    """

    place: int
    env_slug: str
    id: str
    name: str
    runbook_id: str
    status: SessionStatus
    created_by: str
    created_at: datetime
    param_values: bytes


LONGEST_SEARCHED = 4096  # bytes of the values of a session


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a function.

    `param_values` and `output` are JSON in which secrets are masked. The sealed forms, if there are any, are complete.

    Attributes:
        root_id: The run of the runbook whose step or prompt this is. Runs without one are root runs, which engines
            schedule.
        position: Of a child: its place in the runbook, unique within the root run. Replay finds it by this.
        attempt: Of a step: number of its attempts, retries and repetitions after a crash included.
        earlier_failures: Of a step: failures of attempts before the last one; None if there were none.
        segment: Of a root run: number of the segment that is due or being executed, from 1.
        answered_meanwhile: Of a root run: True if a prompt has been answered since the segment began.
        due_at: Of a root run: time since which its segment is due or, if it is `leased`, from which it is due for other
            servers than the one that executes it; None while it is paused or held, and once it is over.
        leased: Of a root run: whether a server has begun its segment, and neither left nor ended it.
        fencing_token: Of a root run: number that each begin makes larger by some random amount, so that none is given
            out twice, even if the disk has lost a begin; 0 before the first. A write that comes with an older token is
            refused, so a server that lost the run to another cannot change it any more.
        failed_starts: Of a root run: number of begins in a row without progress, apart from excused ones.
        source: Of a root run: digest of the code that it was started with.
        trace_context: Of a root run: W3C trace context (traceparent, newline, tracestate) of its spans' parent.
        ended_seed: Seed of the call that cancelled it.
        digests: Of a step: a keyed digest of each argument, as a JSON object; None where none were recorded.
        timeout: Seconds of execution that its author allows; None for no limit.
        spent: Of a root run: microseconds of execution in the segments that have ended.
        held: Of a root run: reason for which no server executes it for now; None if it may be executed.
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
    earlier_failures: tuple[AttemptFailure, ...] | None = None
    segment: int = 1
    answered_meanwhile: bool = False
    due_at: datetime | None = None
    leased: bool = False
    fencing_token: int = 0
    failed_starts: int = 0
    source: str = ""
    trace_context: str = ""
    ended_seed: str = ""
    digests: bytes | None = None
    timeout: float | None = None
    spent: int = 0
    held: str | None = None

    def with_earlier(self, failure: Failure) -> Run:
        """Return the run with the failure of its present attempt among the earlier ones."""
        text = failure.message[:_LONGEST_EARLIER_MESSAGE]
        failures = (*(self.earlier_failures or ()), AttemptFailure(self.attempt, failure.kind, text))
        return msgspec.structs.replace(self, earlier_failures=failures[-MOST_EARLIER_FAILURES:])

    @property
    def job_id(self) -> str:
        """ID of the next job of a root run."""
        return f"{self.id}.{self.segment}"

    @property
    def is_due(self) -> bool:
        """True for a root run that has been added, answered or released, and has not begun since."""
        return self.due_at is not None and not self.leased


class Suspect(msgspec.Struct, frozen=True):
    """A root run that was being executed when a server died, and must start alone."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a human, raised by the run of its own `run_id`. `values` is the answer as JSON, secrets masked.

    `sealed` is the prompt before masking; None if there was nothing to mask.
    After `expires_at`, the server cancels it. `answered_seed` is the seed of the call that answered it.
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
        """True while it waits for an answer."""
        return self.submitted_at is None and self.cancelled_at is None

    @property
    def is_late(self) -> bool:
        """True once it has expired."""
        return self.expires_at is not None and self.expires_at <= now()


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message that tells one target outside of an event. It is gone once the target has got it.

    Attributes:
        id: ID of the message, the same for all attempts.
        target: Name of the target, in the settings of the servers.
        event_type: Type of the event, such as `prompt.opened`.
        body: The event as JSON, secrets masked.
        due_at: Time of the next attempt; while it is `leased`, time from which it is due for others than the server
            that is about to send it. None if it has been given up.
        leased: Whether a server is about to send it.
        fencing_token: Number that each claim makes larger. A server that has lost its lease cannot settle the delivery.
        attempts: Number of attempts since it was added or sent again.
        problem: Reason for which the last attempt failed; empty if none has.
    """

    id: str
    target: str
    event_type: str
    session_id: str
    body: bytes
    created_at: datetime = msgspec.field(default_factory=now)
    due_at: datetime | None = msgspec.field(default_factory=now)
    leased: bool = False
    fencing_token: int = 0
    attempts: int = 0
    given_up_at: datetime | None = None
    problem: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """Outcome of a run."""

    status: RunStatus
    output: bytes = NULL
    failure: Failure | None = None
    sealed_output: bytes | None = None

    @classmethod
    def succeeded(cls, output: bytes, sealed: bytes | None = None) -> Outcome:
        """Return the outcome of a run that produced this JSON."""
        return cls(RunStatus.SUCCEEDED, output, sealed_output=sealed)

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        """Return the outcome of a run that raised. Its output contains the message, as the API has it."""
        message = failure.message if failure.step is None else failure.text
        return cls(RunStatus.FAILED, error_output(message), failure)

    @classmethod
    def cancelled(cls, failure: Failure | None = None) -> Outcome:
        """Return the outcome of a run that was cancelled; by its own code, if there is a reason."""
        return cls(RunStatus.CANCELLED, NULL if failure is None else error_output(failure.message), failure)


def error_output(message: str) -> bytes:
    """Return `{"error": message}` as JSON, with a question mark for each lone surrogate of the message."""
    return msgspec.json.encode({"error": message.encode(errors="replace").decode()})
