"""What it takes several calls to know or to do: a session's runs, prompts and steps, and waiting, with answers given.

Each of these is one operation with one span. Written once, as coroutines, for both clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeAlias

from ..errors import (
    BadRequest,
    Conflict,
    ParamValueError,
    RunFailed,
    SessionFailed,
)
from ..http import Headers
from ..models import (
    CancelPrompt,
    ExecuteRunbook,
    GetPrompt,
    GetRun,
    GetSession,
    ListPrompts,
    ListRuns,
    ParameterSchema,
    Prompt,
    Run,
    RunStatus,
    Session,
    SessionStatus,
    Step,
    SubmitPrompt,
)
from ..operations import (
    CANCEL_PROMPT,
    EXECUTE_RUNBOOK,
    GET_PROMPT,
    GET_RUN,
    GET_RUN_OUTPUTS,
    GET_SESSION,
    LIST_PROMPTS,
    LIST_RUNS,
    MAX_PAGE_SIZE,
    SUBMIT_PROMPT,
)
from ..policy import PollPolicy
from .paging import Pages
from .scope import Composite
from .wait import Wait, settled


class Cancel(Enum):
    """What a prompt handler returns to cancel the prompt."""

    CANCEL = "cancel"


CANCEL: Final = Cancel.CANCEL

PromptAnswer: TypeAlias = Mapping[str, Any] | Cancel | None
PromptHandler: TypeAlias = Callable[[Prompt, ParameterSchema], PromptAnswer]
AsyncPromptHandler: TypeAlias = Callable[[Prompt, ParameterSchema], PromptAnswer | Awaitable[PromptAnswer]]

# A server's clocks may differ by as much; what is listed too many is left out by its session's ID.
_CLOCK_SKEW = timedelta(seconds=60)

# Seconds in which to hand in an answer that took longer than the time to wait: a human's work is not thrown away.
_ANSWER_GRACE = 5.0

_EARLIEST = datetime.min.replace(tzinfo=UTC)


async def session_runs(composite: Composite, session_id: str) -> tuple[Run, ...]:
    """Return a session's runs, the oldest first."""
    session, _ = await _session(composite, session_id)
    return await _runs(composite, session, session_id)


async def session_prompts(composite: Composite, session_id: str) -> tuple[Prompt, ...]:
    """Return a session's open prompts, the oldest first."""
    session, _ = await _session(composite, session_id)
    return await _open_prompts(composite, session, session_id)


async def session_steps(composite: Composite, session_id: str) -> tuple[Step, ...]:
    """Return a session's steps, the oldest first, with the outputs of those that have ended."""
    session, _ = await _session(composite, session_id)
    runs = await _runs(composite, session, session_id)
    return tuple([await _step(composite, run) for run in runs if not _is_runbook(run, session)])


async def _session(composite: Composite, session_id: str) -> tuple[Session, Headers]:
    composite.session_id = session_id
    reply = await composite.call(GET_SESSION, GetSession(id=session_id))
    return reply.data, reply.response.headers


async def _runs(composite: Composite, session: Session, session_id: str) -> tuple[Run, ...]:
    """Page over the runs since the session's start: the API knows no other way from a session to its runs."""
    since = None if session.created_at is None else session.created_at - _CLOCK_SKEW
    found: list[Run] = []
    pages = Pages(MAX_PAGE_SIZE)
    while not pages.at_end:
        # Servers that know the filter save us the other sessions' runs; those that do not ignore it.
        request = ListRuns(session_id=session_id, since=since, limit=MAX_PAGE_SIZE, page=pages.number)
        page = (await composite.call(LIST_RUNS, request)).data.runs
        found += [run for run in pages.take(page) if run.session_id == session_id]
    found.reverse()  # the newest come first
    return tuple(sorted(found, key=lambda run: run.created_at or _EARLIEST))


async def _open_prompts(composite: Composite, session: Session, session_id: str) -> tuple[Prompt, ...]:
    if session.status.is_terminal:
        return ()
    runs = [run for run in await _runs(composite, session, session_id) if _may_ask(run)]
    asked = [(await composite.call(LIST_PROMPTS, ListPrompts(run_id=run.id))).data.prompts for run in runs]
    return tuple(prompt for prompts in asked for prompt in prompts if prompt.is_open)


def _may_ask(run: Run) -> bool:
    """Whether a run may have an open prompt: one that goes on, unless its server says that it waits for nobody."""
    return not run.status.is_terminal and run.is_waiting_for_user is not False


def _is_runbook(run: Run, session: Session) -> bool:
    """Whether it is the run of the runbook itself, which some servers list beside those of its steps."""
    return session.runbook_id is not None and run.task_id == session.runbook_id


async def _step(composite: Composite, run: Run) -> Step:
    if not run.status.is_terminal:
        return Step.of(run, None)
    return Step.of(run, (await composite.call(GET_RUN_OUTPUTS, GetRun(id=run.id))).data.output)


async def wait_for_session(
    composite: Composite,
    session_id: str,
    *,
    timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Session, float], object] | None,
    on_prompt: AsyncPromptHandler | None,
    raise_on_failure: bool,
) -> Session:
    """Look at a session until it has ended, answering its prompts if there is a handler."""
    wait = Wait(composite, timeout=timeout, poll=poll, on_progress=on_progress)
    return await _end_of_session(wait, session_id, on_prompt, raise_on_failure=raise_on_failure)


async def execute_and_wait(
    composite: Composite,
    request: ExecuteRunbook,
    *,
    timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Session, float], object] | None,
    on_prompt: AsyncPromptHandler | None,
    raise_on_failure: bool,
) -> Session:
    """Execute a runbook and wait for its session. Once that is there, errors tell how to find it again."""
    wait = Wait(composite, timeout=timeout, poll=poll, on_progress=on_progress)
    started = await composite.call(EXECUTE_RUNBOOK, request, keyed=True)
    composite.idempotency_key = started.idempotency_key
    return await _end_of_session(wait, started.data.session_id, on_prompt, raise_on_failure=raise_on_failure)


async def _end_of_session(
    wait: Wait[Session], session_id: str, on_prompt: AsyncPromptHandler | None, *, raise_on_failure: bool
) -> Session:
    session = await wait.until(
        lambda session: session.status.is_terminal,
        lambda: _session(wait.composite, session_id),
        f"session {session_id}",
        None if on_prompt is None else Answering(on_prompt, session_id),
    )
    if raise_on_failure and session.status != SessionStatus.SUCCEEDED:
        raise SessionFailed(session)
    return session


async def wait_for_run(
    composite: Composite,
    run_id: str,
    *,
    timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Run, float], object] | None,
    raise_on_failure: bool,
) -> Run:
    """Look at a run until it has ended."""
    wait = Wait(composite, timeout=timeout, poll=poll, on_progress=on_progress)
    run = await wait.until(lambda run: run.status.is_terminal, lambda: _run(composite, run_id), f"run {run_id}")
    if raise_on_failure and run.status != RunStatus.SUCCEEDED:
        raise RunFailed(run)
    return run


async def wait_for_prompt(
    composite: Composite,
    prompt_id: str,
    *,
    timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Prompt, float], object] | None,
) -> Prompt:
    """Look at a prompt until it has been answered or cancelled."""
    wait = Wait(composite, timeout=timeout, poll=poll, on_progress=on_progress)
    return await wait.until(
        lambda prompt: not prompt.is_open, lambda: _prompt(composite, prompt_id), f"prompt {prompt_id}"
    )


async def _prompt(composite: Composite, prompt_id: str) -> tuple[Prompt, Headers]:
    reply = await composite.call(GET_PROMPT, GetPrompt(id=prompt_id))
    return reply.data.prompt, reply.response.headers


async def _run(composite: Composite, run_id: str) -> tuple[Run, Headers]:
    reply = await composite.call(GET_RUN, GetRun(id=run_id))
    return reply.data, reply.response.headers


class Answering:
    """Lets a handler answer a session's prompts, each of which it is asked once."""

    def __init__(self, handler: AsyncPromptHandler, session_id: str) -> None:
        self._handler = handler
        self._session_id = session_id
        self._answers: dict[str, PromptAnswer] = {}  # by prompt; None once there is nothing more to hand in

    async def __call__(self, wait: Wait[Session], session: Session, /) -> bool:
        """Answer what is open, and tell whether that was anything."""
        with wait.composite.as_one_call():  # for there may be no end of runs
            prompts = await wait.survive(_open_prompts(wait.composite, session, self._session_id))
        handed_in = [await self._settle(wait, prompt) for prompt in prompts or ()]
        return any(handed_in)

    async def _settle(self, wait: Wait[Session], prompt: Prompt) -> bool:
        if prompt.id not in self._answers:
            self._answers[prompt.id] = await self._ask(prompt)
        answer = self._answers[prompt.id]
        if answer is None or not await wait.survive(_hand_in(wait.composite, prompt.id, answer)):
            return False
        self._answers[prompt.id] = None
        return True

    async def _ask(self, prompt: Prompt) -> PromptAnswer:
        answer = await settled(self._handler(prompt, prompt.schema))
        if isinstance(answer, Mapping):
            prompt.schema.validate(answer)
        elif not isinstance(answer, Cancel | None):
            problem = f"a prompt handler returns a mapping, CANCEL or None, not {type(answer).__name__}"
            raise ParamValueError("values", problem)
        return answer


async def _hand_in(composite: Composite, prompt_id: str, answer: Mapping[str, Any] | Cancel) -> bool:
    """Submit an answer or cancel the prompt. That somebody else has been faster is no failure."""
    try:
        if isinstance(answer, Cancel):
            await composite.call(CANCEL_PROMPT, CancelPrompt(id=prompt_id), at_least=_ANSWER_GRACE)
        else:
            request = SubmitPrompt(id=prompt_id, values=answer)
            await composite.call(SUBMIT_PROMPT, request, at_least=_ANSWER_GRACE)
    except (BadRequest, Conflict):
        if (await _prompt(composite, prompt_id))[0].is_open:
            raise
    return True
