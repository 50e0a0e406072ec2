"""Runs: start those of tasks, show and cancel all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from ..authoring.decorators import Runbook, Task
from ..secrets.masking import Secrets, hide_all
from ..storage.records import Outcome, Run, RunKind, Session
from .catalog import find_environment, find_task, missing
from .references import keep_uploads, resolve
from .services import Caller, Services, StartRequest, UnitOfWork
from .values import mask_and_seal


def start(services: Services, request: StartRequest, caller: Caller) -> Run:
    """Start a run of a task. Raises Invalid, NotFound, Closing."""
    run, upload_ids = new_root_run(services, RunKind.TASK, find_task(services, request.names), request, caller)
    run = replace(run, resources=dict(request.resources))
    run = replace(run, trace_context=services.emitter.starting(run))
    add(services, run, upload_ids=upload_ids)
    return run


def find(services: Services, run_id: str) -> Run:
    """Return a run. Raises NotFound."""
    run = services.store.run(run_id)
    if run is None:
        raise missing("run", run_id)
    return run


def find_brief(services: Services, run_id: str) -> Run:
    """Return a run without what is too long for a list. Raises NotFound."""
    for run in services.store.brief([run_id]):
        return run
    raise missing("run", run_id)


def cancel(services: Services, run_id: str, caller: Caller) -> None:
    """Cancel a run that has not ended, and with it the session it belongs to. Raises NotFound, Conflict."""

    def work(unit: UnitOfWork) -> None:
        root = unit.store.cancel(run_id, caller.id, caller.seed)
        unit.after_commit(partial(_cancelled, unit, root, caller))

    services.transact(work)


def _cancelled(services: Services, root: Run, caller: Caller) -> None:
    services.emitter.ended(root, Outcome.cancelled(), caller.id)
    services.interrupt(root.id)
    services.engine.cancel(root.job_id)


def add(services: Services, run: Run, session: Session | None = None, *, upload_ids: Sequence[str] = ()) -> None:
    """Keep a new root run with its session and uploads, and begin it here if a worker is free, else have it started.

    Raises Closing, NotFound.
    """

    def work(unit: UnitOfWork) -> None:
        worker = unit.reserve(run.id)
        if worker is None:
            if unit.store.add(run, session):
                keep_uploads(unit, run.id, upload_ids)
                unit.after_commit(partial(unit.emitter.started, run))
            unit.after_commit(partial(unit.engine.start, run.job_id))
            return
        unit.unless_committed(worker.give_back)
        begun = unit.store.add_begun(run, session)
        if begun is None:
            unit.after_commit(worker.give_back)
            unit.after_commit(partial(unit.engine.start, run.job_id))
        else:
            keep_uploads(unit, run.id, upload_ids)
            unit.after_commit(partial(unit.emitter.started, run))
            unit.after_commit(partial(worker.execute, begun, is_new=True))

    services.transact(work)


def new_root_run(
    services: Services,
    kind: RunKind,
    item: Runbook[..., Any] | Task[..., Any],
    request: StartRequest,
    caller: Caller,
) -> tuple[Run, Sequence[str]]:
    """Return the run of a runbook or task to be added to the store, and the IDs of its uploads.

    Raises Invalid, NotFound.
    """
    filled, upload_ids = resolve(services, item.parameters, item.check(request.values).json, "paramValues")
    secrets = Secrets.of(item.parameters, filled)
    shown, sealed = mask_and_seal(item.parameters, filled, secrets, services.vault, path="paramValues")
    run = Run(
        id="run" + caller.seed,
        kind=kind,
        task_id=item.id,
        slug=item.slug,
        name=item.name,
        param_values=shown,
        sealed_values=sealed,
        params=hide_all(item.parameters),
        env_slug=find_environment(services, request.env_slug),
        created_by=caller.id,
        timeout=item.timeout,
    )
    return run, upload_ids
