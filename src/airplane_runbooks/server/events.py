"""Events of a server's life cycle, for observers.

Events hold IDs, names, times and statuses. They never hold parameter values, results, answers, messages of exceptions
or keys. An event is emitted once its change is committed, and never for one that was rolled back. A server that dies
right after a commit emits nothing for it; where its work is repeated, so are the events. The begin of a step is the
exception: StepStarted is emitted when the step begins, and the begin is recorded a few milliseconds later or with the
end of the step. If the server dies before that, the step begins anew, with another run.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

import msgspec

from ..models import RunStatus


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that has happened, and when."""

    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


@runtime_checkable
class Observer(Protocol):
    """Observer of a server's events.

    `observe` is called on a thread that belongs to the observer, in the order of the events, and in a copy of the
    context in which each was emitted. So it may be slow; if 10,000 events wait for it, further ones are dropped.
    Its exceptions change nothing: the first is logged, by its class alone.
    """

    def observe(self, event: Event, /) -> None:
        """Handle one event."""
        ...


@runtime_checkable
class EnclosingObserver(Observer, Protocol):
    """Observer that also does something around what takes time, such as making a span the current one.

    `enclose` is called on the thread and in the context of what is about to begin, so it must not wait for anything.
    The server guards against its exceptions, but cannot guard against a call that does not return.
    """

    def enclose(self, event: EnclosingEvent, /) -> AbstractContextManager[object] | None:
        """Return a context manager to be entered before and exited after what `event` announces, or None.

        It gets the exception that ended it, if any, and cannot suppress it.
        """
        ...


class EnclosingEvent(Event, frozen=True, kw_only=True):
    """Announcement of something that takes time, for the `enclose` method of observers. Only some are events, too."""


class RequestReceived(EnclosingEvent, frozen=True, kw_only=True):
    """A request is about to be handled. `headers` are the client's in lower case, without its credentials."""

    method: str
    route: str
    headers: Mapping[str, str]
    scheme: str = "http"


class RequestAnswered(Event, frozen=True, kw_only=True):
    """The status of the response to a request is known."""

    method: str
    route: str
    status: int


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """The session, or the run of a task, that an event is about.

    Attributes:
        session_id: ID of the session; None for a task.
        run_id: ID of the root run, which is the run of the runbook or task itself.
        kind: `runbook` or `task`.
        slug: Slug of the runbook or task.
        trace_context: `traceparent` and `tracestate` that an observer of RunStarting has stored with the run.
    """

    session_id: str | None
    run_id: str
    kind: str
    slug: str
    trace_context: Mapping[str, str] = {}


class RootEvent(Event, frozen=True, kw_only=True):
    """An event of a session, or of the run of a task."""

    root: Root


class RunStarting(EnclosingEvent, frozen=True, kw_only=True):
    """A session, or the run of a task, is about to be committed.

    An observer may put `traceparent` and `tracestate` into `carrier`: they are committed with the run, and all of its
    later events have them in `root.trace_context`, on whichever server.
    """

    root: Root
    carrier: MutableMapping[str, str]


class SessionStarted(RootEvent, frozen=True, kw_only=True):
    """A session has been added. `caller` is the ID of the user who started it."""

    caller: str
    environment: str


class TaskStarted(RootEvent, frozen=True, kw_only=True):
    """The run of a task has been added. `caller` is the ID of the user who started it."""

    caller: str
    environment: str


class SegmentStarted(RootEvent, frozen=True, kw_only=True):
    """This server has begun to execute a segment. `start` is the fencing token, which grows from start to start."""

    segment: int
    start: int


class SegmentEnded(RootEvent, frozen=True, kw_only=True):
    """This server executes the segment no more: it has paused, ended, or been left to others."""

    segment: int
    start: int
    duration: float


class StepStarted(RootEvent, frozen=True, kw_only=True):
    """A step is about to be executed for the first time. It is recorded soon after, at the latest with its end."""

    run_id: str
    step: str


class AttemptStarted(EnclosingEvent, frozen=True, kw_only=True):
    """A step's function, or a task's, is about to be called. `kind` is `step` or `task`, `slug` the name of either.

    It is announced to `enclose`, and is an event for `observe` as well.
    """

    root: Root
    run_id: str
    kind: str
    slug: str
    attempt: int


class AttemptEnded(RootEvent, frozen=True, kw_only=True):
    """A step's function, or a task's, has returned or raised. `error` is the class of the exception."""

    run_id: str
    kind: str
    slug: str
    attempt: int
    error: str | None
    duration: float


class StepEnded(RootEvent, frozen=True, kw_only=True):
    """The end of a step has been recorded. `error` is the class of the exception that made it fail."""

    run_id: str
    step: str
    status: RunStatus
    error: str | None
    started_at: datetime


class PromptOpened(RootEvent, frozen=True, kw_only=True):
    """A prompt waits for its answer."""

    run_id: str
    prompt_id: str
    expires_at: datetime | None


class PromptClosed(RootEvent, frozen=True, kw_only=True):
    """A prompt waits no longer: the base of the three events that say why. `caller` is the ID of the user."""

    run_id: str
    prompt_id: str
    opened_at: datetime
    caller: str | None


class PromptAnswered(PromptClosed, frozen=True, kw_only=True):
    """A prompt has been answered."""


class PromptCancelled(PromptClosed, frozen=True, kw_only=True):
    """A prompt has been cancelled by a user. One that is open when its session ends has no event of its own."""


class PromptExpired(PromptClosed, frozen=True, kw_only=True):
    """A prompt has been cancelled since its time was over."""


class SessionHeld(RootEvent, frozen=True, kw_only=True):
    """No server executes the session, or the task, for now: none has the code for it.

    Those that are held because the database was restored have been so before the server started, and have no such
    event.
    """


class SessionReleased(RootEvent, frozen=True, kw_only=True):
    """The session, or the task, is no longer held."""


class SessionEnded(RootEvent, frozen=True, kw_only=True):
    """A session has ended. `error` is the class of the exception that made it fail, `caller` the user who ended it."""

    status: RunStatus
    error: str | None
    caller: str | None
    started_at: datetime


class TaskEnded(RootEvent, frozen=True, kw_only=True):
    """The run of a task has ended. `error` is the class of its exception, `caller` the user who cancelled it."""

    status: RunStatus
    error: str | None
    caller: str | None
    started_at: datetime


class SignedIn(Event, frozen=True, kw_only=True):
    """A user has signed in at the pages, from this IP address."""

    caller: str
    address: str


class SignedOut(Event, frozen=True, kw_only=True):
    """A user has signed out at the pages."""

    caller: str


class SignInRefused(Event, frozen=True, kw_only=True):
    """A sign-in at the pages has failed. `reason` is the code of the error."""

    address: str
    reason: str
