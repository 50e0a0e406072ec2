"""Sessions: start, show, cancel, fail, release, delete."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from ..errors import Conflict
from ..storage.holds import RESTORED, why_held
from ..storage.records import (
    Failure,
    Outcome,
    Run,
    RunKind,
    Session,
)
from . import runs
from .catalog import find_runbook, missing
from .services import Caller, Services, StartRequest, UnitOfWork, check_operator

MOST_RELEASED = 1000  # sessions that are let go in one transaction


def start(services: Services, request: StartRequest, caller: Caller) -> Session:
    """Start a session of a runbook. Raises Invalid, NotFound, Closing."""
    runbook = find_runbook(services, request.names)
    run, upload_ids = runs.new_root_run(services, RunKind.RUNBOOK, runbook, request, caller)
    session = Session(
        id="ses" + caller.seed,
        run_id=run.id,
        runbook_id=runbook.id,
        name=runbook.name,
        param_values=run.param_values,
        params=run.params,
        created_by=caller.id,
    )
    run = replace(run, session_id=session.id, source=runbook.code.source)
    run = replace(run, trace_context=services.emitter.starting(run))
    runs.add(services, run, session, upload_ids=upload_ids)
    return session


def find(services: Services, session_id: str) -> Session:
    """Return a session. Raises NotFound."""
    session = services.store.session(session_id)
    if session is None:
        raise missing("session", session_id)
    return session


def find_with_root(services: Services, session_id: str) -> tuple[Session, Run, Sequence[str]]:
    """Return a session, its root run as `Store.session_with_root` does, and the IDs of its open prompts.

    Raises NotFound.
    """
    found = services.store.session_with_root(session_id)
    if found is None:
        raise missing("session", session_id)
    return found


def cancel(services: Services, session_id: str, caller: Caller) -> None:
    """Cancel a session that has not ended. Raises NotFound, Conflict."""

    def work(unit: UnitOfWork) -> None:
        session = find(unit, session_id)
        try:
            runs.cancel(unit, session.run_id, caller)
        except Conflict:
            text = f"the session has ended or been cancelled already: {find(unit, session_id).status.value}"
            raise Conflict("session_finished", text) from None

    services.transact(work)


def fail(services: Services, session_id: str, message: str, caller: Caller) -> None:
    """Fail a session that is held, on behalf of the server's operator. Raises NotFound, Forbidden, Conflict."""

    def work(unit: UnitOfWork) -> None:
        _, root, _ = find_with_root(unit, session_id)
        check_operator(caller)
        outcome = Outcome.failed(Failure("Restored" if root.held == RESTORED else "CodeChanged", message))
        if why_held(root) is None or not unit.store.finish(root.id, outcome, root.fencing_token):
            raise Conflict("session_not_held", "the session is not held, so nothing was changed")
        unit.after_commit(partial(unit.emitter.ended, root, outcome, caller.id))

    services.transact(work)


def release(services: Services, item_id: str, caller: Caller) -> None:
    """Let a session, or a root run, go on that is held since the database was restored.

    Raises NotFound, Forbidden, Conflict.
    """

    def work(unit: UnitOfWork) -> None:
        is_run = item_id.startswith("run")
        root = runs.find_brief(unit, item_id) if is_run else find_with_root(unit, item_id)[1]
        check_operator(caller)
        if root.held is not None and root.held != RESTORED:
            raise Conflict("held_for_code", f"only servers with its code can let it go on: {why_held(root)}")
        if not _let_go(unit, root.id):
            raise Conflict("session_not_held", "the session is not held, so nothing was changed")

    services.transact(work)


def release_all(services: Services, caller: Caller) -> int:
    """Let at most `MOST_RELEASED` go on that are held since the database was restored, and return their number.

    Raises Forbidden.
    """

    def work(unit: UnitOfWork) -> int:
        check_operator(caller)
        return sum(_let_go(unit, root.id) for root in unit.store.held(RESTORED, MOST_RELEASED))

    return services.transact(work)


def delete(services: Services, session_id: str, caller: Caller) -> None:
    """Delete a session that has ended, with all that belongs to it. Raises NotFound, Forbidden, Conflict."""

    def work(unit: UnitOfWork) -> None:
        session = find(unit, session_id)
        check_operator(caller)
        if unit.store.delete(session.run_id) is None:  # another call has just done it
            raise missing("session", session_id)

    services.transact(work)


def _let_go(unit: UnitOfWork, root_id: str) -> bool:
    root = unit.store.let_go(root_id, RESTORED)
    if root is not None:
        unit.after_commit(partial(unit.emitter.released, root))
    return root is not None
