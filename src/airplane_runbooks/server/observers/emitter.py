"""Events made of the store's records, at the places where things happen."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

from .. import events
from ..logs import class_name
from ..storage.records import (
    Outcome,
    Prompt,
    Run,
    RunKind,
)
from .dispatch import Dispatcher

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-airplane-api-key"})
_KEPT = ("traceparent", "tracestate")


class Emitter:
    """Emits the events of a server."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until observers have handled all events."""
        self._dispatcher.close(timeout)

    @contextmanager
    def request(self, method: str, route: str, headers: Mapping[str, str], scheme: str = "http") -> Generator[Exchange]:
        """Enclose the handling of a request."""
        shown: dict[str, str] = {}
        for name, value in headers.items():
            if (lower := name.lower()) not in _CREDENTIALS:
                shown.setdefault(lower, value)
        received = events.RequestReceived(method=method, route=route, headers=shown, scheme=scheme)
        with self._dispatcher.enclose(received):
            yield Exchange(self._dispatcher, method, route)

    def starting(self, run: Run) -> str:
        """Announce a session or task before it is committed, and return the trace context to be stored with it."""
        carrier: dict[str, str] = {}
        with self._dispatcher.enclose(events.RunStarting(root=_root(run), carrier=carrier)):
            pass
        return "\n".join(filter(None, (carrier.get(name) for name in _KEPT)))

    def started(self, run: Run) -> None:
        """Emit the start of a session or task."""
        kind = events.TaskStarted if run.kind is RunKind.TASK else events.SessionStarted
        self._dispatcher.emit(kind(root=_root(run), caller=run.created_by, environment=run.env_slug))

    @contextmanager
    def segment(self, run: Run) -> Generator[None]:
        """Emit the begin and the end of a segment that this server executes."""
        root, begun = _root(run), time.monotonic()
        self._dispatcher.emit(events.SegmentStarted(root=root, segment=run.segment, start=run.fencing_token))
        try:
            yield
        finally:
            duration = time.monotonic() - begun
            self._dispatcher.emit(
                events.SegmentEnded(root=root, segment=run.segment, start=run.fencing_token, duration=duration)
            )

    def child_added(self, root: Run, run: Run, prompt: Prompt | None = None) -> None:
        """Emit the start of a step, or that a prompt has been opened."""
        if prompt is None:
            self._dispatcher.emit(events.StepStarted(root=_root(root), run_id=run.id, step=run.slug))
        else:
            self._dispatcher.emit(
                events.PromptOpened(root=_root(root), run_id=run.id, prompt_id=prompt.id, expires_at=prompt.expires_at)
            )

    def attempt(self, root: Run, run: Run, number: int) -> AbstractContextManager[None]:
        """Enclose one attempt of a step, or the only one of a task (`run` is `root` then), and emit its events."""
        event = events.AttemptStarted(
            root=_root(root), run_id=run.id, kind=run.kind.value, slug=run.slug, attempt=number
        )
        return _Attempt(self._dispatcher, event)

    def step_ended(self, root: Run, run: Run, outcome: Outcome) -> None:
        """Emit the recorded end of a step."""
        self._dispatcher.emit(
            events.StepEnded(
                root=_root(root),
                run_id=run.id,
                step=run.slug,
                status=outcome.status,
                error=_error(outcome),
                started_at=run.created_at,
            )
        )

    def prompt_closed(self, root: Run, prompt: Prompt) -> None:
        """Emit that a prompt has been answered or cancelled, or has expired."""
        kind: type[events.PromptClosed] = events.PromptAnswered
        if prompt.submitted_at is None:
            kind = events.PromptCancelled if prompt.answered_by else events.PromptExpired
        ended = prompt.submitted_at or prompt.cancelled_at
        self._dispatcher.emit(
            kind(
                **({} if ended is None else {"at": ended}),
                root=_root(root),
                run_id=prompt.run_id,
                prompt_id=prompt.id,
                opened_at=prompt.created_at,
                caller=prompt.answered_by,
            )
        )

    def held(self, run: Run) -> None:
        """Emit that a session or task is held."""
        self._dispatcher.emit(events.SessionHeld(root=_root(run)))

    def released(self, run: Run) -> None:
        """Emit that a session or task is no longer held."""
        self._dispatcher.emit(events.SessionReleased(root=_root(run)))

    def ended(self, run: Run, outcome: Outcome, caller: str | None = None) -> None:
        """Emit the end of a session or task, which a user has brought about if there is a `caller`."""
        kind = events.TaskEnded if run.kind is RunKind.TASK else events.SessionEnded
        self._dispatcher.emit(
            kind(
                root=_root(run),
                status=outcome.status,
                error=_error(outcome),
                caller=caller,
                started_at=run.created_at,
            )
        )

    def signed_in(self, caller: str, address: str) -> None:
        """Emit a sign-in."""
        self._dispatcher.emit(events.SignedIn(caller=caller, address=address))

    def signed_out(self, caller: str) -> None:
        """Emit the end of a sign-in by its user."""
        self._dispatcher.emit(events.SignedOut(caller=caller))

    def sign_in_refused(self, address: str, reason: str) -> None:
        """Emit a sign-in that has failed."""
        self._dispatcher.emit(events.SignInRefused(address=address, reason=reason))


class Exchange:
    """A request and its response."""

    def __init__(self, dispatcher: Dispatcher, method: str, route: str) -> None:
        self._dispatcher = dispatcher
        self._method = method
        self._route = route

    def answered(self, status: int) -> None:
        """Emit the status of the response."""
        self._dispatcher.emit(events.RequestAnswered(method=self._method, route=self._route, status=status))


class _Attempt:
    """Context manager around one attempt. A class rather than a generator, as `_Enclosure` is."""

    def __init__(self, dispatcher: Dispatcher, event: events.AttemptStarted) -> None:
        self._dispatcher = dispatcher
        self._event = event
        self._enclosure = dispatcher.enclose(event)
        self._begun = time.monotonic()

    def __enter__(self) -> None:
        self._dispatcher.emit(self._event)
        self._enclosure.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enclosure.__exit__(kind, problem, trace)
        event = self._event
        self._dispatcher.emit(
            events.AttemptEnded(
                root=event.root,
                run_id=event.run_id,
                kind=event.kind,
                slug=event.slug,
                attempt=event.attempt,
                error=None if kind is None else class_name(kind),
                duration=time.monotonic() - self._begun,
            )
        )


def _root(run: Run) -> events.Root:
    traceparent, _, tracestate = run.trace_context.partition("\n")
    return events.Root(
        session_id=run.session_id,
        run_id=run.id,
        kind=run.kind.value,
        slug=run.slug,
        trace_context={"traceparent": traceparent, "tracestate": tracestate} if traceparent else {},
    )


def _error(outcome: Outcome) -> str | None:
    return None if outcome.failure is None else outcome.failure.kind
