"""Writes of one execution that may wait a moment, so that several of them share a transaction.

The begin of a step waits for its end, and a result for the next thing that the runbook does. What follows from a result
is never written before it, nor done: the function of the next step is not called before the result is durable.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import NamedTuple, TypeVar

from ..storage.forking import keep_from_children
from ..storage.interface import Store
from .flusher import Flusher

T = TypeVar("T")

BEGIN_DELAY = 0.03  # seconds for which the begin of a step may wait; many steps end sooner
RESULT_DELAY = 0.002  # seconds for which a result may wait; a runbook does the next thing sooner, as a rule
FRESH = 1.0  # seconds after its last write in which an execution need not ask the store if it is still the one


def is_fresh(moment: float) -> bool:
    """Tell whether no other server can have begun a session since then, by the monotonic clock, as this one had it."""
    return time.monotonic() <= moment + FRESH


class Write(NamedTuple):
    """A write that may wait.

    Attributes:
        apply: Makes the change, with the store of an open transaction; returns False if the store refuses it.
        written: Called with what `apply` has returned, once that is durable.
        is_result: True if the next step depends on it.
        due: Time at which it is written at the latest, by the monotonic clock.
        context: Context in which `written` is called, on any thread.
    """

    apply: Callable[[Store], bool]
    written: Callable[[bool], None]
    is_result: bool
    due: float
    context: Context

    @classmethod
    def of_begin(cls, apply: Callable[[Store], bool], written: Callable[[bool], None]) -> Write:
        """Return the write of the begin of a step."""
        return cls(apply, written, False, time.monotonic() + BEGIN_DELAY, copy_context())  # noqa: FBT003 - is_result

    @classmethod
    def of_result(cls, apply: Callable[[Store], bool], written: Callable[[bool], None]) -> Write:
        """Return the write of a result: the end of a step, or a prompt."""
        return cls(apply, written, True, time.monotonic() + RESULT_DELAY, copy_context())  # noqa: FBT003 - is_result

    @classmethod
    def of_lines(cls, apply: Callable[[Store], bool], written: Callable[[], None]) -> Write:
        """Return the write of lines of a log, which is due at once."""

        def done(_accepted: object) -> None:
            written()

        return cls(apply, done, False, time.monotonic(), copy_context())  # noqa: FBT003 - is_result


class DeferredWrites:
    """The writes of one execution, in their order. Safe for threads.

    The store raises ServerFailure. Nothing is lost then: the writes go on waiting, and may be repeated.
    """

    def __init__(self, store: Store, flusher: Flusher) -> None:
        self._store = store
        self._flusher = flusher
        self._waiting: list[Write] = []  # its single operations are atomic
        self._writing = threading.Lock()
        self._confirmed = time.monotonic()
        keep_from_children(self)

    def in_child(self) -> None:
        """Replace the lock, which a thread of the parent may hold; the database is closed in the child."""
        self._writing = threading.Lock()

    @property
    def due(self) -> float:
        """Time at which the first of them has to be written; infinite if none is waiting."""
        return min((write.due for write in self._waiting[:]), default=math.inf)

    @property
    def come_first(self) -> bool:
        """True if they must be written before the next step begins.

        So it is if there is a result among them, and if the last write was so long ago that the session may have been
        cancelled, or begun by another server, without being noticed here.
        """
        return not is_fresh(self._confirmed) or any(write.is_result for write in self._waiting[:])

    def add(self, write: Write) -> None:
        """Add a write after those that are waiting."""
        self._waiting.append(write)
        self._flusher.watch(self)

    def flush(self) -> None:
        """Write those that are waiting. Raises ServerFailure."""
        self.flush_with(_nothing)

    def flush_with(self, last: Callable[[Store], T]) -> T:
        """Write those that are waiting and call `last` in the same transaction; return its result.

        `last` is called with the store of the transaction, perhaps several times. Raises ServerFailure.
        """
        with self._writing:
            return self._write(last)

    def flush_late(self) -> None:
        """Write those that are waiting unless they are being written just now. Raises ServerFailure."""
        if self._writing.acquire(blocking=False):
            try:
                self._write(_nothing)
            finally:
                self._writing.release()

    def _write(self, last: Callable[[Store], T]) -> T:
        writes = self._waiting[:]
        if not writes and last is _nothing:
            return last(self._store)
        started = time.monotonic()
        accepted, result = self._store.transact(partial(_apply, writes, last))
        del self._waiting[: len(writes)]
        if all(accepted):
            self._confirmed = started
        for write, was_accepted in zip(writes, accepted, strict=True):
            write.context.run(write.written, was_accepted)
        return result


def _nothing(_store: Store) -> None:
    """Do nothing after the writes."""


def _apply(writes: Sequence[Write], last: Callable[[Store], T], store: Store) -> tuple[list[bool], T]:
    return [write.apply(store) for write in writes], last(store)
