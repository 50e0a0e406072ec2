"""Threads that work on the jobs of the durable engine, apart from the threads of DBOS, which only wait."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future, wait

from ..errors import Closing
from ..logs import describe
from .interface import Work

logger = logging.getLogger(__name__)


class Abandoned(BaseException):
    """Leaves a workflow to be taken up again. It is not an Exception, which DBOS would record as the workflow's end."""


class JobThreads:
    """Starts a thread for each job, and lets at most one at a time work on the same job."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._working: dict[str, Future[bool]] = {}
        self._closed = False

    def run(self, job_id: str) -> bool:
        """Wait until a job has been worked on, and return False if that raised. Raises Abandoned after `close`."""
        done: Future[bool] = Future()
        while (earlier := self._admit(job_id, done)) is not done:
            wait([earlier])  # a process that was frozen for a while may get a job back that it still works on
        try:
            threading.Thread(target=self._perform, args=(job_id, done), name=f"runbook-{job_id}", daemon=True).start()
        except RuntimeError as problem:  # out of threads, or the interpreter is about to exit
            self._settle(job_id, done, problem)
        try:
            return done.result()
        except CancelledError:
            raise Abandoned from None

    def close(self) -> None:
        """Begin no more jobs."""
        with self._lock:
            self._closed = True

    def finish(self, timeout: float) -> list[str]:
        """Wait at most `timeout` seconds for the jobs that are being worked on, and return those that have ended."""
        with self._lock:
            working = dict(self._working)
        late = sum(future.cancel() for future in wait(working.values(), timeout).not_done)
        if late:
            logger.warning("%d steps are still running %.1f seconds after the engine was closed", late, timeout)
        return [job_id for job_id, done in working.items() if not done.cancelled() and done.result()]

    def _admit(self, job_id: str, done: Future[bool]) -> Future[bool]:
        with self._lock:
            if self._closed:
                raise Abandoned
            return self._working.setdefault(job_id, done)

    def _perform(self, job_id: str, done: Future[bool]) -> None:
        failure = None
        try:
            while self._work(job_id, owner_is_gone=True):  # DBOS gives a job to one server at a time
                pass
        except BaseException as problem:  # noqa: BLE001 - one bad session must not be lost, nor cost others anything
            failure = problem
        self._settle(job_id, done, failure)

    def _settle(self, job_id: str, done: Future[bool], failure: BaseException | None) -> None:
        if failure is not None and not isinstance(failure, Closing):
            logger.error("work on %s failed: %s", job_id, describe(failure))
        with self._lock:
            del self._working[job_id]
        if done.set_running_or_notify_cancel():
            done.set_result(failure is None)
