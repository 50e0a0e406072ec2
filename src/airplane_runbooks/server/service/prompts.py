"""Prompts: show, answer, cancel, expire, and resume the runbook that asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...schema.reading import CheckedValues
from ..authoring.values import check
from ..errors import Conflict
from ..execution.prompt_details import original_details, original_values
from ..secrets.masking import Secrets
from ..storage.holds import refusal, why_held
from ..storage.records import Prompt, Run
from . import runs
from .catalog import missing
from .identity import User
from .identity import check_reviewer as check_listed
from .services import Caller, Services
from .values import mask_and_seal, secrets_of


def find(services: Services, prompt_id: str) -> Prompt:
    """Return a prompt. Raises NotFound."""
    prompt = services.store.prompt(prompt_id)
    if prompt is None:
        raise missing("prompt", prompt_id)
    return prompt


def of_run(services: Services, run_id: str) -> Sequence[Prompt]:
    """Return the prompts of a run, newest first. Raises NotFound."""
    return services.store.prompts(runs.find(services, run_id).id)


def check_reviewer(services: Services, prompt: Prompt, user: User) -> None:
    """Raise Forbidden if the user may neither answer nor cancel the prompt."""
    check_listed(
        original_details(prompt, services.vault).reviewers, user, runs.find(services, prompt.root_id).created_by
    )


def submit(services: Services, prompt_id: str, values: Mapping[str, Any] | CheckedValues, caller: Caller) -> None:
    """Answer an open prompt with values that fit its fields, unless a form has checked them already."""
    prompt = find(services, prompt_id)
    check_reviewer(services, prompt, caller.user)
    root = runs.find(services, prompt.root_id)
    _refuse_closed(prompt, root)
    details = original_details(prompt, services.vault)
    filled: Mapping[str, Any] = {}
    if prompt.is_open:  # to an answered prompt, the store's refusal is the better news
        filled = check(details.parameters, original_values(prompt, details, values), "values").json
    secrets = secrets_of(root, services.vault)
    secrets.add(Secrets.of(details.parameters, filled))
    shown, sealed = mask_and_seal(details.parameters, filled, secrets, services.vault, path="values")
    _answer(services, prompt_id, shown, caller, sealed)


def cancel(services: Services, prompt_id: str, caller: Caller) -> None:
    """Cancel an open prompt."""
    prompt = find(services, prompt_id)
    check_reviewer(services, prompt, caller.user)
    _refuse_closed(prompt, runs.find(services, prompt.root_id))
    _answer(services, prompt_id, None, caller)


def expire(services: Services, prompt_id: str) -> None:
    """Cancel a prompt on behalf of nobody, since its time is over. Raises NotFound, Held, Conflict."""
    resume(services, services.store.answer(prompt_id, None, None))


def resume(services: Services, prompt: Prompt) -> None:
    """Let the runbook that asked go on, now that its prompt has been answered, cancelled, or has expired."""
    if root := services.store.run(prompt.root_id):
        services.emitter.prompt_closed(root, prompt)
        services.engine.wake(root.job_id)


def _answer(
    services: Services, prompt_id: str, values: bytes | None, caller: Caller, sealed: bytes | None = None
) -> None:
    resume(services, services.store.answer(prompt_id, values, caller.id, caller.seed, sealed))


def _refuse_closed(prompt: Prompt, root: Run) -> None:
    """Refuse answers while the session is held, and those that come too late, even if nobody has expired the prompt."""
    if prompt.is_open and why_held(root) is not None:
        raise refusal(root)
    if prompt.is_open and prompt.is_late:
        raise Conflict("prompt_expired", "the prompt has expired")
