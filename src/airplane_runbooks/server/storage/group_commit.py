"""Group commit: the units of several callers are committed together, so they wait for the disk once.

One thread runs the units in the order in which they were submitted, each in a savepoint. A unit that raises is rolled
back alone. Then all are committed, and only then are their callers answered. A thread of its own can neither be
interrupted nor killed by what happens to a caller, and costs no more than a caller that commits for others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa

from .errors import DatabaseClosed, DatabaseUnavailable
from .prepared import command

T = TypeVar("T")

Begin = Callable[[], AbstractContextManager[sa.Connection]]

MOST_UNITS = 64  # of one commit
IDLE = 0.5  # seconds without a unit after which the thread ends, until there is one
LONGEST_GROUP = 0.05  # seconds after which a group takes no further unit, so that long ones do not add up


class NotCommitted(Exception):
    """The transaction of a unit failed as a whole, for a reason that several units share."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


class TransactionLost(Exception):
    """A unit has ended the transaction of its group, as SQLite does when the disk is full. The cause says why."""


class Unit(Generic[T]):
    """One caller's work, which is done on the writer's thread in a copy of the caller's context variables."""

    def __init__(self, work: Callable[[sa.Connection], T]) -> None:
        self._work = work
        self._context = copy_context()
        self._answered = threading.Lock()
        self._answered.acquire()
        self._value: T | None = None
        self._problem: BaseException | None = None
        self._failure: BaseException | None = None
        self.has_begun = False

    def result(self) -> T:
        """Wait for the commit, and return the work's result. To be called once.

        Raises what the work raised, and NotCommitted.
        """
        self._answered.acquire()
        problem, failure = self._problem, self._failure
        self._problem = self._failure = None
        try:
            if problem is not None:
                raise problem
            if failure is not None:
                raise NotCommitted(failure)
        finally:
            del problem, failure  # an exception refers to this frame, which must not refer to it
        return cast("T", self._value)

    def run(self, connection: sa.Connection) -> None:
        """Do the work in a savepoint. Raises TransactionLost if it ends the transaction of all."""
        self.has_begun = True
        try:
            command(connection, "SAVEPOINT unit")
            try:
                self._value = self._context.run(self._work, connection)
            except BaseException as problem:  # noqa: BLE001 - it is its caller's, even SystemExit
                self._problem = problem
                command(connection, "ROLLBACK TO unit")
            command(connection, "RELEASE unit")
        except Exception as problem:
            raise TransactionLost from problem

    def answer(self, failure: BaseException | None = None) -> None:
        """Let the caller go on. `failure` is that of the transaction; an exception of the unit's own precedes it."""
        self._failure = failure
        self._answered.release()


class GroupCommit:
    """Runs units in transactions of the context manager `begin`, which commits in the end."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._queue: SimpleQueue[Unit[Any] | None] = SimpleQueue()
        self._again: deque[Unit[Any]] = deque()  # whose transaction was lost by another unit
        self._submitting = threading.Lock()
        self._is_closed = False
        self._thread: threading.Thread | None = None  # none while there is nothing to do

    @property
    def is_current(self) -> bool:
        """True inside of a unit."""
        return threading.current_thread() is self._thread

    def submit(self, work: Callable[[sa.Connection], T]) -> Unit[T]:
        """Hand over work, to be committed soon, in the order of these calls. Raises DatabaseUnavailable."""
        unit = Unit(work)
        with self._submitting:
            if self._is_closed:
                raise DatabaseClosed
            if self._thread is None:
                self._start()
            self._queue.put(unit)
        return unit

    def stop(self) -> None:
        """Take no more units, and let the thread end when those that wait are done. Idempotent."""
        with self._submitting:
            if not self._is_closed:
                self._is_closed = True
                if self._thread is not None:
                    self._queue.put(None)

    def close(self) -> None:
        """Take no more units, and wait for those that have been submitted. Idempotent."""
        self.stop()
        if (thread := self._thread) is not None:
            thread.join()

    def in_child(self) -> None:
        """Take no more units in a child, where the thread is missing, and others' locks are held for ever."""
        self._submitting = threading.Lock()
        self._is_closed = True

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name="runbook-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # out of threads, or the interpreter is about to exit
            raise DatabaseUnavailable("no thread can be started to write to the database") from problem
        self._thread = thread

    def _serve(self) -> None:
        while (first := self._next()) is not None:
            self._commit(first)
            del first  # while there is nothing to do, nothing keeps a forgotten database

    def _next(self) -> Unit[Any] | None:
        """Return the next unit once there is one; None if there was none for long, or at the end."""
        if self._again:
            return self._again.popleft()
        with suppress(Empty):
            return self._queue.get(timeout=IDLE)
        with self._submitting:
            if self._queue.empty():
                self._thread = None
                return None
        return self._queue.get()

    def _waiting(self) -> Unit[Any] | None:
        """Return the next unit if one waits."""
        if self._again:
            return self._again.popleft()
        try:
            unit = self._queue.get_nowait()
        except Empty:
            return None
        if unit is None:
            self._queue.put(None)  # the end, which comes after this group
        return unit

    def _commit(self, first: Unit[Any]) -> None:
        """Commit a group that begins with this unit, and answer its callers."""
        group = [first]
        failure: BaseException | None = None
        try:
            with self._begin() as connection:
                self._run(group, connection)
        except TransactionLost as lost:  # by the last unit, so the others are done again
            *others, culprit = group
            self._again.extendleft(reversed(others))
            group, failure = [culprit], lost.__cause__
        except BaseException as problem:  # noqa: BLE001 - it is told to the callers
            failure = problem
            if not first.has_begun:  # those that wait would wait for the same, perhaps for long
                group.extend(iter(self._waiting, None))
        for unit in group:
            unit.answer(failure)

    def _run(self, group: list[Unit[Any]], connection: sa.Connection) -> None:
        """Run the units of a group, which takes those that wait until it is full."""
        full_at = time.monotonic() + LONGEST_GROUP
        group[0].run(connection)
        while len(group) < MOST_UNITS and time.monotonic() < full_at and (unit := self._waiting()) is not None:
            group.append(unit)
            unit.run(connection)
