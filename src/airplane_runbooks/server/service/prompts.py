"""Prompts: show, answer, cancel, expire, and resume the runbook that asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ...models import SessionStatus
from ...schema.reading import CheckedValues
from ..authoring.values import check
from ..errors import Conflict, Forbidden
from ..execution.prompt_details import PromptDetails, original_details, original_values
from ..secrets.masking import Secrets
from ..secrets.vault import VaultError
from ..storage.holds import refusal as held_error
from ..storage.holds import why_held
from ..storage.interface import CANCELLED, Answer, Answered, SessionQuery
from ..storage.records import Prompt, Run, Session
from . import runs
from .catalog import missing
from .identity import User, check_reviewer
from .references import keep_uploads, resolve
from .services import Caller, Services, UnitOfWork
from .values import mask_and_seal, secrets_of
from .workers import ReservedWorker

Values = Mapping[str, Any] | CheckedValues


def find(services: Services, prompt_id: str) -> Prompt:
    """Return a prompt. Raises NotFound."""
    prompt = services.store.prompt(prompt_id)
    if prompt is None:
        raise missing("prompt", prompt_id)
    return prompt


def find_with_session(services: Services, prompt_id: str) -> tuple[Prompt, Session, Run]:
    """Return a prompt, its session, and the root run of both without what that holds. Raises NotFound."""
    found = services.store.prompt_with_session(prompt_id)
    if found is None:
        raise missing("prompt", prompt_id)
    return found


def of_run(services: Services, run_id: str) -> tuple[Sequence[Prompt], Run]:
    """Return the prompts of a run, newest first, and its root run. Raises NotFound."""
    run = runs.find(services, run_id)
    return services.store.prompts(run_id), run if run.root_id is None else runs.find(services, run.root_id)


def waiting_for(services: Services, user: User) -> Sequence[tuple[Prompt, Session]]:
    """Return the prompts that a user may answer now, newest first, of the 50 newest sessions that wait."""
    sessions = {one.run_id: one for one in services.store.sessions(SessionQuery(status=SessionStatus.WAITING))}
    roots = {root.id: root for root in services.store.brief(list(sessions))}
    found = services.store.open_prompts(*roots)
    return [
        (prompt, sessions[prompt.root_id])
        for prompt in found
        if _may_answer_now(services, prompt, roots[prompt.root_id], user)
    ]


def _may_answer_now(services: Services, prompt: Prompt, root: Run, user: User) -> bool:
    try:
        return not prompt.is_late and why_held(root) is None and not objection(services, prompt, root, user)
    except VaultError:  # of a prompt whose key is gone; the others are shown all the same
        return False


def objection(services: Services, prompt: Prompt, root: Run, user: User) -> str:
    """Return why the user may neither answer nor cancel the prompt, an empty text if the user may."""
    try:
        check_reviewer(original_details(prompt, services.vault).reviewers, user, root.created_by)
    except Forbidden as refusal:
        return refusal.message
    return ""


def submit(services: Services, prompt_id: str, values: Values | Callable[[Prompt], Values], caller: Caller) -> Answered:
    """Answer an open prompt with values that fit its fields. Raises NotFound, Forbidden, Held, Conflict, Invalid.

    A function in place of the values gets the prompt, if that is open, and returns them or raises.
    """

    def decide(unit: UnitOfWork, prompt: Prompt, root: Run) -> Answer:
        details = _check(services, prompt, root, caller)
        filled: Mapping[str, Any] = {}
        if prompt.is_open:  # to an answered prompt, the store's refusal is the better news
            given = values(prompt) if callable(values) else values
            checked = check(details.parameters, original_values(prompt, details, given), "values").json
            filled, upload_ids = resolve(unit, details.parameters, checked, "values")
            keep_uploads(unit, root.id, upload_ids)
        secrets = secrets_of(root, services.vault)
        secrets.add(Secrets.of(details.parameters, filled))
        return Answer(*mask_and_seal(details.parameters, filled, secrets, services.vault, path="values"))

    return _answer(services, prompt_id, decide, caller)


def cancel(services: Services, prompt_id: str, caller: Caller) -> Answered:
    """Cancel an open prompt. Raises NotFound, Forbidden, Held, Conflict."""

    def decide(_unit: UnitOfWork, prompt: Prompt, root: Run) -> Answer:
        _check(services, prompt, root, caller)
        return CANCELLED

    return _answer(services, prompt_id, decide, caller)


def expire(services: Services, prompt_id: str) -> None:
    """Cancel a prompt whose time is over. Raises NotFound, Held, Conflict."""

    def decide(_unit: UnitOfWork, _prompt: Prompt, _root: Run) -> Answer:
        return CANCELLED

    _answer(services, prompt_id, decide, None)


def resume(services: Services, answered: Answered, worker: ReservedWorker | None) -> None:
    """Let the runbook that asked go on, now that its prompt has been answered, cancelled, or has expired.

    `worker` has been reserved for it, if the answer has begun its next segment.
    """
    services.emitter.prompt_closed(answered.root, answered.prompt)
    if worker is not None and answered.begun is not None:
        worker.execute(answered.begun)
    else:
        services.engine.wake(answered.root.job_id)


def _answer(
    services: Services, prompt_id: str, decide: Callable[[UnitOfWork, Prompt, Run], Answer], caller: Caller | None
) -> Answered:
    by, seed = (None, "") if caller is None else (caller.id, caller.seed)

    def work(unit: UnitOfWork) -> Answered:
        workers: list[ReservedWorker] = []

        def begin(root: Run) -> bool:
            worker = _reserve(unit, root)
            if worker is None:
                return False
            unit.unless_committed(worker.give_back)
            workers.append(worker)
            return True

        answered = unit.store.answer(prompt_id, partial(decide, unit), by, seed, begin=begin)
        unit.after_commit(partial(resume, unit, answered, workers[-1] if workers else None))
        return answered

    return services.transact(work)


def _reserve(services: Services, root: Run) -> ReservedWorker | None:
    """Reserve a worker for the next segment of a runbook; None if there is none, or if its code is not here."""
    runbook = services.runbooks.by_id.get(root.task_id)
    if runbook is None or not runbook.code.can_continue(root.source):
        return None
    return services.reserve(root.id)


def _check(services: Services, prompt: Prompt, root: Run, caller: Caller) -> PromptDetails:
    """Return the details of a prompt. Raises Forbidden, Held while no server has the code, and Conflict if too late."""
    details = original_details(prompt, services.vault)
    check_reviewer(details.reviewers, caller.user, root.created_by)
    if prompt.is_open and why_held(root) is not None:
        raise held_error(root)
    if prompt.is_open and prompt.is_late:  # even if it has not been expired yet
        raise Conflict("prompt_expired", "the prompt has expired")
    return details
