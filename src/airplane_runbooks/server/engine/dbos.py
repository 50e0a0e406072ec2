"""The engine of servers that share a PostgreSQL: DBOS keeps the jobs in the database, for all servers.

Each job is a DBOS workflow with the job's ID. It has no steps, since the store keeps what has been done. The jobs are
in a queue that all servers take from, and the servers take over the jobs of those that are dead.

Jobs are worked on by the threads of `job_threads`, while those of DBOS only wait. So a step that never returns cannot
keep the interpreter from its exit, and the exceptions of a job do not reach DBOS.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID, WorkflowStatus
from dbos import _dbos as dbos_module

from ..errors import Closing
from ..logs import describe
from ..storage.ids import new_id
from . import unpickling
from .interface import Work
from .job_threads import Abandoned, JobThreads
from .leases import Membership

logger = logging.getLogger(__name__)

QUEUE = "runbooks"
SCHEMA = "runbook_dbos"  # of DBOS's own tables
POLL = 0.2  # seconds between two polls of the queue
RETRY = 5.0  # seconds until work that raised starts again
_NOTING = 2.0  # seconds for DBOS to record begins and ends
_BATCH = 1000  # jobs to forget at a time
_ON_ITS_WAY = {"ENQUEUED", "DELAYED", "PENDING"}

_opening = threading.Lock()


class EngineInUse(RuntimeError):
    """DBOS runs in this process already, which it can do only once."""


class DbosEngine:
    """Works on jobs that outlive the process. It shares the database's engine, and does not dispose of it.

    At most one is open in a process at a time. All servers have the same number of `workers`, that of the last one to
    start.
    """

    def __init__(self, database: sa.Engine, workers: int = 16, catalog: bytes = b"[]") -> None:
        if workers < 1:
            raise ValueError("an engine needs at least one worker")
        self._database = database
        self._workers = workers
        self._id = new_id("srv")
        self._membership = Membership(database.url, self._id, catalog)
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[str | None] = SimpleQueue()
        self._broken: dict[str, float] = {}  # times to start them again
        self._forgotten: set[str] = set()
        self._here: set[str] = set()
        self._sender = threading.Thread(target=self._send, name="runbook-jobs", daemon=True)
        self._dbos: DBOS | None = None
        self._closed = False

    def open(self, work: Work) -> None:
        """Take the callable that works on one job, and take up the jobs of an earlier process. Raises EngineInUse."""
        self._threads = JobThreads(work)
        with _opening, ThreadPoolExecutor(1) as apart:  # DBOS refuses to work where an event loop runs
            if dbos_module._dbos_global_instance is not None:  # noqa: SLF001 - DBOS would silently return the open one
                raise EngineInUse("another engine is open in this process, or the application itself uses DBOS")
            apart.submit(self._launch).result()
        self._sender.start()

    def reserve(self) -> None:
        """Reserve no worker: DBOS has to know of all jobs."""

    def start(self, job_id: str) -> None:
        """Work on the job of a new run. Raises Closing."""
        if self._closed:
            raise Closing("closing", "the server is closing")
        self._jobs.put(job_id)

    def wake(self, job_id: str) -> None:
        """Work on the job of a run that has paused, or is about to."""
        if not self._closed:
            self._jobs.put(job_id)

    def cancel(self, job_id: str) -> None:
        """Do nothing: the worker of the job asks the store, and stops."""

    def forget(self, job_id: str) -> None:
        """Drop the job's rows, soon and together with those of others."""
        self._forgotten.add(job_id)

    def announced(self) -> Sequence[bytes]:
        """Return the catalogs of the other living servers. Raises the errors of the database."""
        return () if self._closed else self._membership.others()

    def recover(self, jobs: Sequence[str], here: Sequence[str] = ()) -> None:
        """Make sure that these jobs are worked on, and those that got stuck in this process or with a dead server.

        Raises the errors of the database.
        """
        if self._closed or self._dbos is None:
            return
        self._drop_forgotten()
        self._begin_broken()
        self._here.update(here)
        self._send_again(here)
        with self._membership.leadership() as living:
            if living is not None:
                self._take_over(living)
                self._send_again(jobs)

    def close(self, timeout: float) -> None:
        """Take no more work and wait, at most `timeout` seconds, for running work. Idempotent.

        Unfinished work starts again at the next start, or on another server. DBOS itself takes up to two more seconds.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        if self._dbos is None:
            return
        self._threads.close()
        for event in self._dbos.background_thread_stop_events:
            event.set()  # take no more jobs from the queue, which would be left unfinished
        self._shut_down(self._threads.finish(timeout))

    def _launch(self) -> None:
        silence()
        unpickling.forbid()
        try:
            self._membership.join()
            self._dbos = DBOS(config=self._config())
            self._workflow = DBOS.workflow(
                name="runbook.ticket",  # the name is stored with each workflow
                max_recovery_attempts=None,  # the store counts the failed starts of a run
            )(self._plain())
            DBOS.launch()
            DBOS.register_queue(
                QUEUE, worker_concurrency=self._workers, polling_interval_sec=POLL, on_conflict="always_update"
            )
        except BaseException:
            self._closed, self._dbos = True, None
            DBOS.destroy()
            unpickling.allow()
            self._membership.leave()
            raise

    def _config(self) -> DBOSConfig:
        return {
            "name": "airplane-runbooks",
            "system_database_url": self._database.url.render_as_string(hide_password=False),
            "system_database_engine": self._database,
            "dbos_system_schema": SCHEMA,
            "application_version": "1",  # the version of the jobs' form, not of the runbooks
            "executor_id": self._id,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
            "enable_otlp": False,
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.05,  # no workflow is left, but `destroy` waits for as long
            "max_executor_threads": self._workers + 8,  # the queue counts the workers itself
        }

    def _plain(self) -> Callable[[str], None]:
        def execute(job_id: str) -> None:  # DBOS sets attributes, which a method does not allow
            self._execute(job_id)

        return execute

    def _send(self) -> None:
        """Hand jobs to DBOS, apart from the caller, since DBOS waits as long as the database is away."""
        while (job_id := self._jobs.get()) is not None:
            try:
                self._enqueue(job_id)
            except Exception as problem:  # noqa: BLE001 - the job is due in the store, so `recover` gets it
                if not self._closed:
                    logger.error("job %s has to wait: %s", job_id, describe(problem))  # noqa: TRY400 - see describe

    def _enqueue(self, job_id: str) -> None:
        with SetWorkflowID(job_id):  # nothing happens if there is a workflow with this ID
            if job_id in self._here:
                self._here.discard(job_id)
                DBOS.start_workflow(self._workflow, job_id)
            else:
                DBOS.enqueue_workflow(QUEUE, self._workflow, job_id)

    def _execute(self, job_id: str) -> None:
        """Wait on a thread of DBOS until a worker is done with the job."""
        lost_leases = self._membership.lost_leases
        well = self._threads.run(job_id)
        if (
            not well or self._membership.lost_leases != lost_leases
        ):  # DBOS would await the end of a job that another server has
            self._broken[job_id] = time.monotonic() + RETRY
            raise Abandoned

    def _drop_forgotten(self) -> None:
        forgotten = list(self._forgotten)[:_BATCH]
        if not forgotten:
            return
        in_use = {found.workflow_id for found in _find(workflow_ids=forgotten, status="PENDING")}
        gone = [job_id for job_id in forgotten if job_id not in in_use]
        if gone:
            DBOS.delete_workflows(gone)
        self._forgotten.difference_update(gone)

    def _begin_broken(self) -> None:
        moment = time.monotonic()
        broken = [job_id for job_id, at in list(self._broken.items()) if at <= moment]
        if not broken:
            return
        # another server may have them by now, if this one was considered dead
        self._resume(self._pending(broken))
        for job_id in broken:
            del self._broken[job_id]

    def _take_over(self, living: frozenset[str]) -> None:
        pending = _find(status="PENDING")
        self._resume([workflow.workflow_id for workflow in pending if workflow.executor_id not in living])

    def _resume(self, jobs: list[str]) -> None:
        if jobs:
            DBOS.resume_workflows(jobs, queue_name=QUEUE)

    def _send_again(self, jobs: Sequence[str]) -> None:
        if not jobs:
            return
        known = _find(workflow_ids=list(jobs))
        moving = {workflow.workflow_id for workflow in known if workflow.status in _ON_ITS_WAY}
        if over := [workflow.workflow_id for workflow in known if workflow.status not in _ON_ITS_WAY]:
            DBOS.delete_workflows(over)
        for job_id in jobs:
            if job_id not in moving:
                self._jobs.put(job_id)

    def _shut_down(self, ended: list[str]) -> None:
        deadline = time.monotonic() + _NOTING
        self._sender.join(_NOTING)
        while ended and self._pending(ended) and time.monotonic() < deadline:
            time.sleep(0.01)
        DBOS.destroy()
        unpickling.allow()
        self._membership.leave()

    def _pending(self, jobs: list[str]) -> list[str]:
        """Return the jobs that this server has taken and not finished."""
        return [found.workflow_id for found in _find(workflow_ids=jobs, status="PENDING", executor_id=self._id)]


def _find(**which: Any) -> list[WorkflowStatus]:
    return DBOS.list_workflows(**which, load_input=False, load_output=False)


def silence() -> None:
    """Send DBOS's errors to the application's handlers, and drop the rest of its log."""
    log = logging.getLogger("dbos")
    if not log.handlers:  # otherwise it would write to the console
        log.addHandler(logging.NullHandler())
    log.setLevel(logging.ERROR)
