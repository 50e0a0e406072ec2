"""Metrics of the server. It needs the OpenTelemetry API alone, and records nothing while no provider is set.

Attributes have few values: slugs, statuses, routes and classes of exceptions; no IDs, no names of steps.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import TypeVar

import msgspec
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from ...models import RunStatus, SessionStatus
from ...telemetry.guard import Guard
from ...telemetry.metrics import ATTEMPT_BUCKETS, PROVIDER_MODULE
from ...telemetry.once import OncePerProvider
from ...telemetry.spans import SCHEMA_URL
from ...version import __version__
from .. import events
from ..errors import ApiError
from ..logs import class_name
from .tracing import SCOPE

logger = logging.getLogger(__name__)

Attributes = dict[str, str | int | bool]

_QUEUE_BUCKETS = (*ATTEMPT_BUCKETS, 30, 60, 300)
_STEP_BUCKETS = (*_QUEUE_BUCKETS, 1800, 3600)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SEEN: Collection[tuple[SessionStatus, bool]] = (  # series that are 0 rather than missing
    *((status, False) for status in SessionStatus if not status.is_terminal),
    *((status, True) for status in (SessionStatus.PENDING, SessionStatus.WAITING)),
)


class Figures(msgspec.Struct, frozen=True, weakref=True):
    """Figures of one server that are read when metrics are collected.

    Attributes:
        sessions: Counts the sessions that have not ended, by status and by whether they are held.
        deliveries: Counts the messages to targets that have not arrived, by their state; none without targets.
        busy: Counts the workers that have work.
        workers: Number of workers.
    """

    sessions: Callable[[], Mapping[tuple[SessionStatus, bool], int]]
    deliveries: Callable[[], Mapping[str, int]]
    busy: Callable[[], int]
    workers: int


class Metrics:
    """The observer that records the metrics.

    The provider of the process may be set after the server has been built. Exceptions of providers are logged once, and
    change no result.
    """

    def __init__(self, database: str, meter_provider: metrics.MeterProvider | None = None) -> None:
        self._guard = Guard(logger)
        self._provider = meter_provider
        self._system = {"db.system.name": database, "db.operation.name": "COMMIT"}
        self._make(metrics.NoOpMeter(SCOPE))
        with self._guard:
            self._make(metrics.get_meter(SCOPE, __version__, meter_provider, SCHEMA_URL))

    def _make(self, meter: metrics.Meter) -> None:
        self._ended = meter.create_counter(
            "airplane.server.runs.ended", unit="{run}", description="Sessions and task runs that have ended."
        )
        self._steps = meter.create_histogram(
            "airplane.server.step.duration",
            unit="s",
            description="Duration of attempts of steps, and of tasks.",
            explicit_bucket_boundaries_advisory=_STEP_BUCKETS,
        )
        self._delays = meter.create_histogram(
            "airplane.server.queue.delay",
            unit="s",
            description="Time for which jobs were due until a worker took them.",
            explicit_bucket_boundaries_advisory=_QUEUE_BUCKETS,
        )
        self._commits = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of commits.",
            explicit_bucket_boundaries_advisory=_COMMIT_BUCKETS,
        )
        self._requests = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=ATTEMPT_BUCKETS,
        )

    @property
    def is_on(self) -> bool:
        """True if there may be readers of what is recorded."""
        return self._provider is not None or getattr(PROVIDER_MODULE, "_METER_PROVIDER", self) is not None

    def report(self, figures: Figures) -> Callable[[], None]:
        """Report figures of a server until the returned function is called, or is collected.

        They are not kept here, since they lead to the database, whose finalizer leads here.
        """
        with self._guard:
            _GAUGES.get(self._provider, SCOPE, __version__).add(figures)
        return [figures].clear

    def committed(self, seconds: float, problem: BaseException | None) -> None:
        """Record one commit."""
        if self.is_on:
            error = {} if problem is None else {"error.type": class_name(type(problem))}
            with self._guard:
                self._commits.record(seconds, {**self._system, **error})

    def taken(self, seconds: float) -> None:
        """Record for how long a job was due."""
        if self.is_on:
            with self._guard:
                self._delays.record(seconds)

    def observe(self, event: events.Event, /) -> None:
        """Record what has ended."""
        if not self.is_on:
            return
        match event:
            case events.RequestAnswered():
                if (request := _REQUEST.get()) is not None:
                    request.status = event.status
            case events.AttemptEnded():
                self._steps.record(event.duration, {**_of(event.root, event.error), "airplane.run.kind": event.kind})
            case events.SessionEnded() | events.TaskEnded():
                failed = event.error if event.status is RunStatus.FAILED else None
                self._ended.add(1, {**_of(event.root, failed), "airplane.run.status": event.status.value})
            case _:
                pass

    def enclose(self, event: events.EnclosingEvent, /) -> AbstractContextManager[None] | None:
        """Return a context manager that measures a request."""
        if isinstance(event, events.RequestReceived) and self.is_on:
            return _Request(self._requests, event)
        return None


class _Request:
    """Measures the handling of a request."""

    def __init__(self, durations: metrics.Histogram, event: events.RequestReceived) -> None:
        self.status: int | None = None
        self._durations = durations
        self._attributes: Attributes = {
            "http.request.method": event.method,
            "http.route": event.route,
            "url.scheme": event.scheme,
        }

    def __enter__(self) -> None:
        self._begun = time.monotonic()
        self._token = _REQUEST.set(self)

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        _REQUEST.reset(self._token)
        if self.status is None and isinstance(problem, ApiError):
            self.status = problem.status
        if self.status is not None:
            self._attributes["http.response.status_code"] = self.status
            if self.status >= 500:
                self._attributes["error.type"] = str(self.status)
        elif kind is not None:
            self._attributes["error.type"] = class_name(kind)
        self._durations.record(time.monotonic() - self._begun, self._attributes)


_REQUEST: ContextVar[_Request | None] = ContextVar("measured_request", default=None)


class _Gauges:
    """The observable instruments of all servers that report to one provider."""

    def __init__(self) -> None:
        self._servers: dict[int, weakref.ref[Figures]] = {}

    def start(self, meter: metrics.Meter) -> None:
        """Make the instruments."""
        meter.create_observable_gauge(
            "airplane.server.sessions",
            callbacks=[self._sessions],
            unit="{session}",
            description="Sessions in the database that have not ended.",
        )
        meter.create_observable_gauge(
            "airplane.server.deliveries",
            callbacks=[self._deliveries],
            unit="{message}",
            description="Messages to webhooks and channels in the database that have not arrived.",
        )
        meter.create_observable_up_down_counter(
            "airplane.server.workers.busy",
            callbacks=[lambda _: [Observation(sum(one.busy() for one in self._living()))]],
            unit="{worker}",
            description="Workers that have work.",
        )
        meter.create_observable_up_down_counter(
            "airplane.server.workers.limit",
            callbacks=[lambda _: [Observation(sum(one.workers for one in self._living()))]],
            unit="{worker}",
            description="Workers that there are.",
        )

    def add(self, figures: Figures) -> None:
        """Report the figures of one more server."""
        key = id(figures)
        self._servers[key] = weakref.ref(figures, lambda _: self._servers.pop(key, None))

    def _living(self) -> list[Figures]:
        return [figures for reference in self._servers.copy().values() if (figures := reference()) is not None]

    def _sessions(self, _: CallbackOptions) -> list[Observation]:
        counts = _count((one.sessions for one in self._living()), _SEEN)
        return [
            Observation(count, {"airplane.session.status": status.value, "airplane.session.held": held})
            for (status, held), count in counts.items()
        ]

    def _deliveries(self, _: CallbackOptions) -> list[Observation]:
        counts = _count((one.deliveries for one in self._living()), ())
        return [Observation(count, {"airplane.delivery.state": state}) for state, count in counts.items()]


_GAUGES = OncePerProvider(_Gauges, _Gauges.start)

Key = TypeVar("Key", bound=Hashable)


def _count(servers: Iterable[Callable[[], Mapping[Key, int]]], seen: Collection[Key]) -> Mapping[Key, int]:
    """Add up the counts of servers. A database that does not answer has none; the others still have theirs."""
    counts: dict[Key, int] = {}
    for count in servers:
        try:
            found = count()
        except ApiError:
            continue
        for key in {*seen, *found}:
            counts[key] = counts.get(key, 0) + found.get(key, 0)
    return counts


def _of(root: events.Root, error: str | None) -> Attributes:
    attributes: Attributes = {f"airplane.{root.kind}.slug": root.slug}
    if error is not None:
        attributes["error.type"] = error
    return attributes
