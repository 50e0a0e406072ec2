"""Watchdog of executions: interrupts those that were cancelled or timed out, and abandons those that do not end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ..logs import describe
from ..storage.errors import DatabaseUnavailable
from ..storage.interface import Store
from .execution import Execution
from .threads import start_thread

logger = logging.getLogger(__name__)

CANCELLED = "cancelled"  # the channel of root runs that were cancelled
_REMEMBERED = 10.0  # seconds for which an interrupt waits for an execution that may be about to start
POLL = 1.0  # seconds between two looks at what other servers may have cancelled
RENEWAL = 3.0  # seconds between two renewals of leases; what has not been executed for as long needs none yet


class Watchdog:
    """Watches all executions of one server, on a thread of its own as long as there are any.

    `on_timeout` ends the run of an execution whose time is up.
    """

    def __init__(self, store: Store, on_timeout: Callable[[Execution], None]) -> None:
        self._store = store
        self._on_timeout = on_timeout
        self._executions: dict[str, Execution] = {}
        self._interrupted: dict[str, float] = {}  # times of interrupts that found no execution, the oldest first
        self._changed = threading.Condition()
        self._watching = False
        self._failing = False
        self._closed = False
        self._next_poll = 0.0
        self._next_renewal = 0.0

    @contextmanager
    def watching(self, execution: Execution) -> Generator[None]:
        """Watch an execution. Raises OSError if there is no thread to do so."""
        with self._changed:
            if not self._watching:
                start_thread(self._watch, "runbook-executions")
                self._watching = True
                self._next_poll = time.monotonic() + POLL
                self._next_renewal = time.monotonic() + RENEWAL
            elif execution.deadline is not None:
                self._changed.notify()
            self._executions[execution.run.id] = execution
            is_late = execution.run.id in self._interrupted
        if is_late:
            execution.interrupt()
        try:
            yield
        finally:
            with self._changed:
                if self._executions.get(execution.run.id) is execution:  # not a later one of the same run
                    del self._executions[execution.run.id]

    def interrupt(self, run_id: str) -> None:
        """Interrupt the execution of a cancelled run, if this server has it or is about to start it."""
        with self._changed:
            execution = self._executions.get(run_id)
            if execution is None:
                self._remember(run_id)
                return
        execution.interrupt()
        with self._changed:
            self._changed.notify()

    def _remember(self, run_id: str) -> None:
        moment = time.monotonic()
        for old in [one for one, at in self._interrupted.items() if at < moment - _REMEMBERED]:
            del self._interrupted[old]
        self._interrupted[run_id] = moment

    def close(self) -> None:
        """Stop watching, and leave executions in progress to themselves."""
        with self._changed:
            self._closed = True
            for execution in self._executions.values():
                execution.done.set()
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if not self._closed and self._executions:
                    self._changed.wait(POLL if self._failing else self._delay())
                if self._closed or not self._executions:
                    self._watching = False
                    return
                present = list(self._executions.values())
            try:
                self._check(present)
                self._failing = False
            except BaseException as problem:  # noqa: BLE001 - it has to look again after any exception
                if not self._failing:
                    known = isinstance(problem.__cause__, DatabaseUnavailable)  # the log has what is the matter with it
                    level = logging.DEBUG if known else logging.ERROR
                    logger.log(level, "cannot check executions: %s", describe(problem))
                self._failing = True

    def _delay(self) -> float:
        deadlines = (one.deadline for one in self._executions.values() if not one.is_interrupted)
        first = min((self._next_poll, *(one for one in deadlines if one is not None)))
        return max(0.01, first - time.monotonic())

    def _check(self, executions: list[Execution]) -> None:
        if (moment := time.monotonic()) >= self._next_poll:
            self._next_poll = moment + POLL
            for one in executions:
                one.logs.queue()
            self._renew_leases(executions, moment)
            self._interrupt_cancelled(executions)
        for one in executions:
            if one.deadline is not None and moment >= one.deadline and not one.is_interrupted:
                self._on_timeout(one)
                one.interrupt()
            if one.is_overdue and not one.done.is_set():
                one.release()  # a Cancelling session becomes Cancelled
                one.done.set()

    def _renew_leases(self, executions: list[Execution], moment: float) -> None:
        if moment < self._next_renewal:
            return
        if lasting := [one for one in executions if one.age >= RENEWAL]:
            self._store.renew({one.run.id: one.run.fencing_token for one in lasting})
        self._next_renewal = moment + RENEWAL

    def _interrupt_cancelled(self, executions: list[Execution]) -> None:
        fencing_tokens = {one.run.id: one.run.fencing_token for one in executions if not one.is_interrupted}
        gone = self._store.gone(fencing_tokens) if fencing_tokens else ()
        for one in executions:
            if one.run.id in gone:
                one.interrupt()
