"""Operations that need several API calls: a session's runs, prompts and steps, and waiting with a prompt handler.

Each is one operation with one span, written once as a coroutine for both clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from ..errors import (
    BadRequest,
    Conflict,
    ParamValueError,
    RunFailed,
    SessionCancelled,
    SessionFailed,
)
from ..models import (
    CancelPrompt,
    ExecuteRunbook,
    GetLogs,
    GetPrompt,
    GetRun,
    GetSession,
    ListPrompts,
    ListRuns,
    LogLine,
    LogSeverity,
    Prompt,
    PromptReply,
    Run,
    RunStatus,
    Session,
    SessionStatus,
    Step,
    SubmitPrompt,
)
from ..models.typed_calls import values_of
from ..operations import (
    CANCEL_PROMPT,
    EXECUTE_RUNBOOK,
    GET_PROMPT,
    GET_RUN,
    GET_RUN_LOGS,
    GET_RUN_OUTPUTS,
    GET_SESSION,
    LIST_PROMPTS,
    LIST_RUNS,
    MAX_PAGE_SIZE,
    SUBMIT_PROMPT,
)
from ..policy import PollPolicy
from .handlers import AsyncPromptHandler, Cancel
from .paging import LogCursor, PageCursor
from .scope import OperationScope
from .wait import Subject, Wait, result_of

T = TypeVar("T")


# Clocks of servers may differ by this much. Runs of other sessions that are listed therefore are filtered out by ID.
_CLOCK_SKEW = timedelta(seconds=60)

# Seconds left to submit an answer that took longer than the wait allowed: a human's work must not be lost.
_ANSWER_GRACE = 5.0

_EARLIEST = datetime.min.replace(tzinfo=UTC)


async def session_runs(scope: OperationScope, session_id: str) -> tuple[Run, ...]:
    """Return a session's runs, the oldest first."""
    session = await _session(scope, session_id)
    return await _runs(scope, session, session_id)


async def session_prompts(scope: OperationScope, session_id: str) -> tuple[Prompt, ...]:
    """Return a session's open prompts, the oldest first."""
    session = await _session(scope, session_id)
    return await _open_prompts(scope, session, session_id)


async def session_steps(scope: OperationScope, session_id: str, *, logs: bool) -> tuple[Step, ...]:
    """Return a session's steps, the oldest first, with the outputs of those that have ended, and `logs`."""
    session = await _session(scope, session_id)
    runs = await _runs(scope, session, session_id)
    return tuple([await _step(scope, run, logs=logs) for run in runs if not _is_runbook(run, session)])


async def _session(scope: OperationScope, session_id: str) -> Session:
    scope.session_id = session_id
    return (await scope.call(GET_SESSION, GetSession(id=session_id))).data


async def _runs(scope: OperationScope, session: Session, session_id: str) -> tuple[Run, ...]:
    """Return the runs since the session's start that belong to it: the API cannot list the runs of one session."""
    since = None if session.created_at is None else session.created_at - _CLOCK_SKEW
    found: list[Run] = []
    cursor = PageCursor(MAX_PAGE_SIZE)
    while not cursor.at_end:
        # Our server applies the filter by session; other servers ignore it.
        request = ListRuns(session_id=session_id, since=since, limit=MAX_PAGE_SIZE, page=cursor.number)
        page = (await scope.call(LIST_RUNS, request)).data.runs
        found += [run for run in cursor.take(page) if run.session_id == session_id]
    found.reverse()  # the newest come first
    return tuple(sorted(found, key=lambda run: run.created_at or _EARLIEST))


async def _open_prompts(scope: OperationScope, session: Session, session_id: str) -> tuple[Prompt, ...]:
    if session.status.is_terminal:
        return ()
    runs = [run for run in await _runs(scope, session, session_id) if _may_ask(run)]
    asked = [(await scope.call(LIST_PROMPTS, ListPrompts(run_id=run.id))).data.prompts for run in runs]
    return tuple(prompt for prompts in asked for prompt in prompts if prompt.is_open)


def _may_ask(run: Run) -> bool:
    """Tell whether a run may have an open prompt: it has not ended, and the server does not deny that it waits."""
    return not run.status.is_terminal and run.is_waiting_for_user is not False


def _is_runbook(run: Run, session: Session) -> bool:
    """Tell whether this is the run of the runbook itself, which some servers list with those of its steps."""
    return session.runbook_id is not None and run.task_id == session.runbook_id


async def _step(scope: OperationScope, run: Run, *, logs: bool) -> Step:
    lines = await _lines(scope, run) if logs else ()
    if not run.status.is_terminal:
        return Step.of(run, None, lines)
    return Step.of(run, (await scope.call(GET_RUN_OUTPUTS, GetRun(id=run.id))).data.output, lines)


async def _lines(scope: OperationScope, run: Run) -> tuple[LogLine, ...]:
    found: list[LogLine] = []
    cursor = LogCursor(None)
    while not cursor.at_end:
        request = GetLogs(run_id=run.id, prev_token=cursor.token, level=LogSeverity.DEBUG)
        found += cursor.take((await scope.call(GET_RUN_LOGS, request)).data)
    return tuple(found)


async def wait_for_session(
    scope: OperationScope,
    session_id: str,
    *,
    wait_timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Session, float], object] | None,
    on_prompt: AsyncPromptHandler | None,
    raise_on_failure: bool,
) -> Session:
    """Wait for a session to end, and answer its prompts if there is a handler."""
    wait = Wait(scope, timeout=wait_timeout, poll=poll, on_progress=on_progress)
    return await _end_of_session(wait, session_id, on_prompt, raise_on_failure=raise_on_failure)


async def execute_and_wait(
    scope: OperationScope,
    request: ExecuteRunbook,
    *,
    wait_timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Session, float], object] | None,
    on_prompt: AsyncPromptHandler | None,
    raise_on_failure: bool,
) -> Session:
    """Execute a runbook and wait for its session. Once it has started, errors carry its ID and idempotency key."""
    wait = Wait(scope, timeout=wait_timeout, poll=poll, on_progress=on_progress)
    started = await scope.call(EXECUTE_RUNBOOK, request, keyed=True)
    scope.idempotency_key = started.idempotency_key
    return await _end_of_session(wait, started.data.session_id, on_prompt, raise_on_failure=raise_on_failure)


async def _end_of_session(
    wait: Wait[Session], session_id: str, on_prompt: AsyncPromptHandler | None, *, raise_on_failure: bool
) -> Session:
    wait.scope.session_id = session_id
    session = await wait.until(
        Subject(
            f"session {session_id}",
            GET_SESSION,
            GetSession(id=session_id),
            read=_itself,
            has_ended=_has_ended,
        ),
        None if on_prompt is None else PromptAnswerer(on_prompt, session_id),
    )
    if raise_on_failure and session.status != SessionStatus.SUCCEEDED:
        cancelled = session.status == SessionStatus.CANCELLED
        raise (SessionCancelled if cancelled else SessionFailed)(session)
    return session


def _itself(reply: T) -> T:
    return reply


def _has_ended(polled: Session | Run) -> bool:
    return polled.status.is_terminal


def _prompt_of(reply: PromptReply) -> Prompt:
    return reply.prompt


def _is_settled(prompt: Prompt) -> bool:
    return not prompt.is_open


async def wait_for_run(
    scope: OperationScope,
    run_id: str,
    *,
    wait_timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Run, float], object] | None,
    raise_on_failure: bool,
) -> Run:
    """Wait for a run to end."""
    wait = Wait(scope, timeout=wait_timeout, poll=poll, on_progress=on_progress)
    run = await wait.until(
        Subject(
            f"run {run_id}",
            GET_RUN,
            GetRun(id=run_id),
            read=_itself,
            has_ended=_has_ended,
        )
    )
    if raise_on_failure and run.status != RunStatus.SUCCEEDED:
        raise RunFailed(run)
    return run


async def wait_for_prompt(
    scope: OperationScope,
    prompt_id: str,
    *,
    wait_timeout: float | None,
    poll: PollPolicy | None,
    on_progress: Callable[[Prompt, float], object] | None,
) -> Prompt:
    """Wait for a prompt to be answered or cancelled."""
    wait = Wait(scope, timeout=wait_timeout, poll=poll, on_progress=on_progress)
    return await wait.until(
        Subject(
            f"prompt {prompt_id}",
            GET_PROMPT,
            GetPrompt(id=prompt_id),
            read=_prompt_of,
            has_ended=_is_settled,
        )
    )


class PromptAnswerer:
    """Answers the prompts of a session by a handler, which is called once for each prompt, and not while it is held."""

    def __init__(self, handler: AsyncPromptHandler, session_id: str) -> None:
        self._handler = handler
        self._session_id = session_id
        self._answers: dict[
            str, Mapping[str, Any] | Cancel | None
        ] = {}  # by prompt; None if there is nothing left to submit

    async def __call__(self, wait: Wait[Session], session: Session, /) -> bool:
        """Answer the open prompts, and return whether there were any."""
        with wait.scope.as_one_call():  # there may be thousands of runs
            prompts = await wait.tolerate(_open_prompts(wait.scope, session, self._session_id))
        submitted = [await self._answer(wait, prompt) for prompt in prompts or () if prompt.held is None]
        return any(submitted)

    async def _answer(self, wait: Wait[Session], prompt: Prompt) -> bool:
        if prompt.id not in self._answers:
            self._answers[prompt.id] = await self._ask(prompt)
        answer = self._answers[prompt.id]
        if answer is None or not await wait.tolerate(_submit(wait.scope, prompt.id, answer)):
            return False
        self._answers[prompt.id] = None
        return True

    async def _ask(self, prompt: Prompt) -> Mapping[str, Any] | Cancel | None:
        try:
            answer = await result_of(self._handler(prompt, prompt.schema))
        except Exception as failure:
            failure.add_note(f"Raised by on_prompt for {prompt.id}, for which session {self._session_id} still waits.")
            raise
        if isinstance(answer, msgspec.Struct):
            answer = values_of(answer)
        if isinstance(answer, Mapping):
            prompt.schema.validate(answer)
        elif not isinstance(answer, Cancel | None):
            problem = f"a prompt handler returns a mapping, a struct, CANCEL or None, not {type(answer).__name__}"
            raise ParamValueError("values", problem)
        return answer


async def _submit(scope: OperationScope, prompt_id: str, answer: Mapping[str, Any] | Cancel) -> bool:
    """Submit an answer or cancel the prompt. It is not a failure if someone else has been faster."""
    try:
        if isinstance(answer, Cancel):
            await scope.call(CANCEL_PROMPT, CancelPrompt(id=prompt_id), at_least=_ANSWER_GRACE)
        else:
            request = SubmitPrompt(id=prompt_id, values=answer)
            await scope.call(SUBMIT_PROMPT, request, at_least=_ANSWER_GRACE)
    except (BadRequest, Conflict):
        if (await scope.call(GET_PROMPT, GetPrompt(id=prompt_id))).data.prompt.is_open:
            raise
    return True
