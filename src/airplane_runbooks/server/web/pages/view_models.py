"""View models: sessions, steps and prompts as pages show them, with a mask in place of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from ....models import Parameter, RunStatus, SessionStatus
from ...secrets.masking import Secrets, masked_values
from ...service import logs, runs
from ...service.identity import Users
from ...service.services import Services
from ...storage.encoding import decode
from ...storage.holds import RESTORED, why_held
from ...storage.ids import now
from ...storage.log_lines import LogLine
from ...storage.records import (
    Prompt,
    Run,
    RunKind,
    Session,
)
from .formats import (
    DisplayValue,
    describe_answer,
    describe_display,
    describe_members,
    describe_output,
)

STEPS_ON_A_PAGE = 100
LINES_OF_A_STEP = 100  # of its log


class PromptViewModel(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with its answers; `state` is open, submitted, cancelled, expired or dropped."""

    id: str
    description: str
    state: str
    asked_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    by: str
    answers: Sequence[tuple[str, DisplayValue]]
    reviewers: Sequence[str]
    confirm: str
    decide: str
    cancel: str


class LogViewModel(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines of the log of a step, each with its attempt if that is another one than that of the line before.

    `is_cut` is true if there are earlier lines.
    """

    lines: Sequence[tuple[int | None, LogLine]]
    is_cut: bool


class StepViewModel(msgspec.Struct, frozen=True, kw_only=True):
    """A step, a prompt or a display of a session; `depth` counts the branches around it.

    `display` is the value that the runbook shows, None if this is a step or a prompt.
    """

    run_id: str
    name: str
    status: RunStatus
    depth: int
    attempt: int
    earlier_failures: Sequence[str]
    started_at: datetime
    ended_at: datetime | None
    duration: timedelta
    arguments: Mapping[str, DisplayValue]
    output: DisplayValue | None
    display: DisplayValue | None
    failure: str
    log: LogViewModel | None
    prompt: PromptViewModel | None


class SessionViewModel(msgspec.Struct, frozen=True, kw_only=True):
    """A session with one page of its steps and with all of its open prompts.

    Attributes:
        run_id: ID of its root run, whose output is its result.
        cancelled_by: Name of the user who has cancelled it; empty if it was not cancelled by one.
        failed_step: ID of the run of the step whose failure ended it, if it was one.
        failed_page: The page of the steps that has that step.
    """

    id: str
    run_id: str
    name: str
    status: SessionStatus
    environment: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    duration: timedelta
    parameters: Sequence[tuple[str, DisplayValue]]
    open_prompts: Sequence[PromptViewModel]
    steps: Sequence[StepViewModel]
    first_step: int
    step_count: int
    page: int
    pages: int
    output: DisplayValue | None
    failure: str
    cancelled_by: str
    failed_step: str
    failed_page: int
    held: str
    is_restored: bool


def describe_prompt(prompt: Prompt, users: Users, secrets: Secrets) -> PromptViewModel:
    """Describe a prompt, without the secrets of its session."""
    wanted = prompt.reviewers
    return PromptViewModel(
        id=prompt.id,
        description=secrets.mask(prompt.description),
        state=_state(prompt),
        asked_at=prompt.created_at,
        expires_at=prompt.expires_at,
        ended_at=prompt.submitted_at or prompt.cancelled_at,
        by="" if prompt.answered_by is None else users.name(prompt.answered_by),
        answers=_labelled(prompt.parameters, prompt.values) if prompt.submitted_at else (),
        reviewers=(*wanted.users, *(f"group {group}" for group in wanted.groups)),
        confirm=prompt.confirm_text or "Submit",
        decide=prompt.confirm_text or "Yes",
        cancel=prompt.cancel_text or "Cancel this prompt",
    )


def _state(prompt: Prompt) -> str:
    if prompt.submitted_at is not None:
        return "submitted"
    if prompt.cancelled_at is None:
        return "expired" if prompt.is_late else "open"
    if prompt.answered_by is not None:
        return "cancelled"
    expired = prompt.expires_at is not None and prompt.expires_at <= prompt.cancelled_at
    return "expired" if expired else "dropped"


def describe_parameters(session: Session) -> Sequence[tuple[str, DisplayValue]]:
    """Describe the parameter values of a session by their labels."""
    return _labelled(session.params, session.param_values)


def describe_session(services: Services, users: Users, session: Session, page: int | None) -> SessionViewModel:
    """Describe a session with a page of its steps, counted from 1; the last one, if no page is asked for."""
    run = runs.find(services, session.run_id)
    steps = sorted(services.store.outline(run.id), key=lambda step: _place(step.position))
    pages = max(-(-len(steps) // STEPS_ON_A_PAGE), 1)
    page = min(page or pages, pages)
    first = (page - 1) * STEPS_ON_A_PAGE
    listed = services.store.brief([one.id for one in steps[first : first + STEPS_ON_A_PAGE]])
    shown = {one.id: one for one in listed}
    chosen = [shown[one.id] for one in steps[first : first + STEPS_ON_A_PAGE] if one.id in shown]
    open_runs = [one for one in steps if one.kind is RunKind.PROMPT and not one.status.is_terminal]
    asking = dict.fromkeys(one.id for one in chosen + open_runs if one.kind is RunKind.PROMPT)
    prompts = {prompt.run_id: prompt for prompt in services.store.prompts(*asking)}
    secrets = session_secrets(session, prompts.values())
    written = logs.latest(services.store, run.id)
    failed_step = "" if run.failure is None else run.failure.step_run_id or ""
    failed_place = next((place for place, step in enumerate(steps) if step.id == failed_step), 0)
    return SessionViewModel(
        id=session.id,
        run_id=run.id,
        name=session.name,
        status=session.status,
        environment=run.env_slug,
        started_by=users.name(session.created_by),
        started_at=session.created_at,
        ended_at=run.ended_at,
        duration=_duration(session.created_at, run.ended_at),
        parameters=describe_parameters(session),
        open_prompts=[describe_prompt(prompts[one.id], users, secrets) for one in open_runs if one.id in prompts],
        steps=[_describe_step(one, prompts.get(one.id), written.get(one.id, ()), users, secrets) for one in chosen],
        first_step=first + 1,
        step_count=len(steps),
        page=page,
        pages=pages,
        output=_output(run, secrets),
        failure=_failure(run, secrets),
        cancelled_by="" if run.cancelled_by is None else users.name(run.cancelled_by),
        failed_step=failed_step,
        failed_page=failed_place // STEPS_ON_A_PAGE + 1,
        held=secrets.mask(why_held(run) or ""),
        is_restored=run.held == RESTORED,
    )


def _describe_step(
    run: Run, prompt: Prompt | None, lines: Sequence[LogLine], users: Users, secrets: Secrets
) -> StepViewModel:
    is_display = run.kind is RunKind.DISPLAY
    return StepViewModel(
        run_id=run.id,
        name=secrets.mask(run.name),
        status=run.status,
        depth=len(_place(run.position)) - 1,
        attempt=run.attempt,
        earlier_failures=[
            secrets.mask(f"attempt {one.attempt}: {one.kind}: {one.message}") for one in run.earlier_failures or ()
        ],
        started_at=run.active_at or run.created_at,
        ended_at=run.ended_at,
        duration=_duration(run.active_at or run.created_at, run.ended_at),
        arguments=describe_members(secrets.mask_json(run.param_values)),
        output=_output(run, secrets) if prompt is None and not is_display else None,
        display=describe_display(secrets.mask_json(run.output)) if is_display else None,
        failure=_failure(run, secrets),
        log=_describe_log(lines, secrets),
        prompt=None if prompt is None else describe_prompt(prompt, users, secrets),
    )


def _describe_log(lines: Sequence[LogLine], secrets: Secrets) -> LogViewModel | None:
    if not lines:
        return None
    shown: list[tuple[int | None, LogLine]] = []
    attempt = 1
    for line in lines[-LINES_OF_A_STEP:]:
        masked = msgspec.structs.replace(line, text=secrets.mask(line.text))
        shown.append((None if line.attempt == attempt else line.attempt, masked))
        attempt = line.attempt
    return LogViewModel(lines=shown, is_cut=len(lines) > LINES_OF_A_STEP)


def _output(run: Run, secrets: Secrets) -> DisplayValue | None:
    return describe_output(secrets.mask_json(run.output)) if run.status is RunStatus.SUCCEEDED else None


def _failure(run: Run, secrets: Secrets) -> str:
    return "" if run.failure is None else secrets.mask(run.failure.text)


def session_secrets(session: Session, prompts: Iterable[Prompt] = ()) -> Secrets:
    """Collect the values to be masked on the pages of a session."""
    secrets = Secrets.of(session.params, decode(session.param_values))
    for prompt in prompts:
        secrets.add(Secrets.of(prompt.parameters, decode(prompt.values)))
    return secrets


def _labelled(parameters: Sequence[Parameter], document: bytes) -> Sequence[tuple[str, DisplayValue]]:
    values = masked_values(parameters, decode(document))
    return [
        (parameter.name or parameter.slug, describe_answer(parameter, values[parameter.slug]))
        for parameter in parameters
        if parameter.slug in values
    ]


def _duration(start: datetime, end: datetime | None) -> timedelta:
    return (end or now()) - start


def _place(position: str) -> tuple[int, ...]:
    """Return the sort key of a position. The steps of a branch come after the place where it began."""
    return tuple(map(int, re.findall(r"[0-9]+", position)))
