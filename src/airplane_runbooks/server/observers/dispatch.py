"""Delivery of events to observers, none of which can change a result."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from ...telemetry.guard import Guard
from ..events import EnclosingEvent, Event, Observer

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000  # events that wait for one observer


class Dispatcher:
    """Delivers each event to all observers.

    The server's `own` are called where an event is emitted, each of the `others` on a thread of its own.
    """

    def __init__(self, own: Sequence[Observer], others: Iterable[Observer] = ()) -> None:
        self._background = [_Background(observer) for observer in others]
        self._observers = [*map(_Guarded, own), *self._background]
        self._enclosing = [one for one in self._observers if one.encloses]

    def emit(self, event: Event) -> None:
        """Deliver an event."""
        for observer in self._observers:
            observer.observe(event)

    def enclose(self, event: EnclosingEvent) -> AbstractContextManager[None]:
        """Return a context manager that enters and exits those of all observers."""
        return _Enclosure(self._enclosing, event)

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until observers have handled all events. Drops later ones. Idempotent."""
        end = time.monotonic() + timeout
        for observer in self._background:
            observer.close()
        for observer in self._background:
            observer.join(end - time.monotonic())


class _Guarded:
    """An observer whose exceptions are logged once."""

    def __init__(self, observer: Observer) -> None:
        self.name = f"{type(observer).__module__}.{type(observer).__qualname__}"
        self.guard = Guard(logger, f"the observer {self.name} fails and may miss events")
        self.encloses = hasattr(observer, "enclose")
        self._observer: Any = observer

    def observe(self, event: Event) -> None:
        """Let the observer handle an event."""
        with self.guard:
            self._observer.observe(event)

    def enter(self, event: EnclosingEvent) -> AbstractContextManager[object] | None:
        """Enter the context manager for an event and return it, None if the observer has none."""
        with self.guard:
            manager: AbstractContextManager[object] | None = self._observer.enclose(event)
            if manager is not None:
                manager.__enter__()  # exited by `_Enclosure`
            return manager
        return None


class _Background(_Guarded):
    """An observer that handles events on a thread of its own, which begins with the first one."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
        self._waiting: SimpleQueue[tuple[contextvars.Context, Event] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._has_dropped = False

    def observe(self, event: Event) -> None:
        """Let the observer handle an event later."""
        if self._closed:
            return
        if self._waiting.qsize() >= MOST_WAITING:
            if not self._has_dropped:
                self._has_dropped = True
                logger.warning("the observer %s is too slow and misses events", self.name)
            return
        self._waiting.put((contextvars.copy_context(), event))
        if self._thread is None:
            with self.guard:
                self._start()

    def close(self) -> None:
        """Let the thread end after the events that wait now."""
        self._closed = True
        self._waiting.put(None)

    def join(self, timeout: float) -> None:
        """Wait at most so many seconds for the end of the thread."""
        if self._thread is not None:
            self._thread.join(max(0.0, timeout))

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._loop, name=f"runbook-observer-{self.name}", daemon=True)
                thread.start()
                self._thread = thread

    def _loop(self) -> None:
        while (item := self._waiting.get()) is not None:
            context, event = item
            context.run(super().observe, event)


class _Enclosure:
    """The context managers of all observers as one that suppresses nothing.

    A class rather than a generator, since `contextmanager` inspects exceptions, and some of runbooks do not allow that.
    """

    def __init__(self, observers: Sequence[_Guarded], event: EnclosingEvent) -> None:
        self._observers = observers
        self._event = event
        self._entered: list[tuple[Guard, AbstractContextManager[object]]] = []

    def __enter__(self) -> None:
        for observer in self._observers:
            if (manager := observer.enter(self._event)) is not None:
                self._entered.append((observer.guard, manager))

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for guard, manager in reversed(self._entered):
            with guard:
                manager.__exit__(kind, problem, trace)
