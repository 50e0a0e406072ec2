"""Threads for what may never return. None can be ended from outside: those that hang are given up, and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """End of a call on a thread. An exception is a value here, since a future refuses StopIteration."""

    value: Any
    problem: BaseException | None

    def result(self) -> Any:
        """Return what was returned, or raise what was raised."""
        if self.problem is not None:
            raise self.problem
        return self.value


def outcome_of(function: Callable[[], Any]) -> Ended:
    """Call a function, and return how it has ended."""
    try:
        return Ended(function(), None)
    except BaseException as problem:  # noqa: BLE001 - to be raised where it is waited for
        return Ended(None, problem)


def begin(function: Callable[[], Any], name: str) -> Future[Ended]:
    """Call a function on a daemon thread, in a copy of the caller's context. Raises OSError if there are no more."""
    ending: Future[Ended] = Future()
    ending.set_running_or_notify_cancel()  # whoever waits for it may stop waiting, and no more

    def call() -> None:
        ending.set_result(outcome_of(function))

    try:
        threading.Thread(target=copy_context().run, args=(call,), name=name, daemon=True).start()
    except RuntimeError as problem:
        raise OSError("no thread can be started") from problem
    return ending


class Workers:
    """Counts the threads that were given up and have not returned yet, and the workers that are left.

    A worker goes on without such a thread as long as there are not more of them than workers. Beyond that it waits, and
    is lost, until enough of them or all of its own have returned.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._given_up: set[Future[Ended]] = set()
        self._lost = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def are_lost(self) -> bool:
        """Whether no worker is left."""
        return self._lost >= self._count

    def give_up(self, threads: Collection[Future[Ended]]) -> None:
        """Count these threads until they return."""
        with self._changed:
            new = [thread for thread in threads if thread not in self._given_up and not thread.done()]
            self._given_up.update(new)
        for thread in new:
            thread.add_done_callback(self._returned)

    def go_on(self, without: Collection[Future[Ended]]) -> None:
        """Return once a worker may go on without these threads, which have been given up."""
        with self._changed:
            self._lost += 1
            self._changed.wait_for(
                lambda: self._closed or len(self._given_up) <= self._count or all(one.done() for one in without)
            )
            self._lost -= 1

    def close(self) -> None:
        """Let all workers go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _returned(self, thread: Future[Ended]) -> None:
        with self._changed:
            self._given_up.discard(thread)
            self._changed.notify_all()


def wait_for(thread: Future[Ended], seconds: float | None = None) -> bool:
    """Wait until a thread has returned, and tell whether it has."""
    return bool(wait([thread], seconds).done)
