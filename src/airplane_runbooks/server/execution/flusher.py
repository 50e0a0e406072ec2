"""Flusher: writes what executions have deferred for long enough."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import time
from typing import Protocol

from ..logs import describe
from ..storage.forking import keep_from_children
from .signals import ServerFailure
from .threads import start_thread

logger = logging.getLogger(__name__)

_TICK = 0.002  # seconds between two looks while anything is waiting
_RETRY = 1.0  # seconds until a failed write is tried again, unless its execution does so before


class Deferring(Protocol):
    """Writes that are waiting."""

    @property
    def due(self) -> float:
        """Time at which the first of them has to be written; infinite if none is waiting."""
        ...

    def flush_late(self) -> None:
        """Write those that are waiting unless they are being written just now. Raises ServerFailure."""
        ...


class Flusher:
    """Writes in the background, for all executions of one server, on one thread that sleeps while none is waiting."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[Deferring, float] = {}  # with the time before which they are not tried again
        self._running = False
        self._closed = False
        keep_from_children(self)

    def in_child(self) -> None:
        """Watch nothing: the thread belongs to the parent, and so does the lock's state."""
        self._changed = threading.Condition()
        self._closed = True

    def watch(self, writes: Deferring) -> None:
        """Have these written when they are due, if that has not happened before."""
        with self._changed:
            if self._closed or writes in self._waiting:
                return
            if not self._waiting:
                self._changed.notify()
            self._waiting[writes] = -math.inf
            self._start()

    def close(self) -> None:
        """Write nothing more. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _start(self) -> None:
        if not self._running:
            try:
                contextvars.Context().run(start_thread, self._loop, "runbook-flusher")  # not in an execution's context
            except OSError as problem:  # executions write by themselves, with what they do next
                logger.warning("begins and results of steps may be shown late: %s", describe(problem))
            else:
                self._running = True

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
            time.sleep(_TICK)
            for writes, not_before in list(self._waiting.items()):
                self._look(writes, not_before)

    def _look(self, writes: Deferring, not_before: float) -> None:
        if max(writes.due, not_before) <= time.monotonic():
            try:
                writes.flush_late()
            except ServerFailure as failure:  # which the execution meets, too, when it does the next thing
                logger.debug("deferred writes have to wait: %s", failure)
                if failure.is_temporary:
                    self._waiting[writes] = time.monotonic() + _RETRY
                    return
                with self._changed:
                    del self._waiting[writes]
                return
        with self._changed:
            if writes.due == math.inf:  # a write that is added after this look has them watched again
                del self._waiting[writes]
