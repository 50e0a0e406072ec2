"""Threads for functions that may never return. Such a thread cannot be ended: it is abandoned and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from contextvars import copy_context

from .call_results import CallResult


def start_thread(function: Callable[[], object], name: str) -> Future[CallResult]:
    """Call a function on a daemon thread, in a copy of the caller's context. Raises OSError if there are no threads."""
    result: Future[CallResult] = Future()
    result.set_running_or_notify_cancel()  # so that it cannot be cancelled

    def call() -> None:
        result.set_result(CallResult.of(function))

    try:
        threading.Thread(target=copy_context().run, args=(call,), name=name, daemon=True).start()
    except RuntimeError as problem:
        raise OSError("no thread can be started") from problem
    return result


def wait_for(thread: Future[CallResult], seconds: float | None = None) -> bool:
    """Wait until a thread has returned, and return True if it has."""
    return bool(wait([thread], seconds).done)


class Workers:
    """Counts the abandoned threads that have not returned yet, and the workers that are left.

    A worker goes on without its abandoned threads as long as these are not more than the workers. Beyond that it is
    blocked until enough of them, or all of its own, have returned.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._abandoned: set[Future[CallResult]] = set()
        self._blocked = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def are_all_blocked(self) -> bool:
        """True if there is no worker left."""
        return self._blocked >= self._count

    def abandon(self, threads: Collection[Future[CallResult]]) -> None:
        """Count these threads until they return."""
        with self._changed:
            new = [thread for thread in threads if thread not in self._abandoned and not thread.done()]
            self._abandoned.update(new)
        for thread in new:
            thread.add_done_callback(self._returned)

    def wait_for_capacity(self, without: Collection[Future[CallResult]]) -> None:
        """Return once a worker may go on without these threads, which have been abandoned."""
        with self._changed:
            self._blocked += 1
            self._changed.wait_for(
                lambda: self._closed or len(self._abandoned) <= self._count or all(one.done() for one in without)
            )
            self._blocked -= 1

    def close(self) -> None:
        """Let all workers go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _returned(self, thread: Future[CallResult]) -> None:
        with self._changed:
            self._abandoned.discard(thread)
            self._changed.notify_all()
