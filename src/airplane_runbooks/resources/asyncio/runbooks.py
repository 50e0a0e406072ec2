"""Runbooks for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import UnionType
from typing import Any, TypeVar, Unpack, overload

from msgspec import UNSET

from ...models import ExecuteRunbook, ListRunbooks, Runbook, RunbookCall, Session, StartedSession
from ...operations import EXECUTE_RUNBOOK, LIST_RUNBOOKS
from ...options import CallOptions, Timeout
from ...policy import PollPolicy
from ...waiters.follow import execute_and_wait
from ...waiters.handlers import AsyncPromptHandler
from ...waiters.results import result_of
from .._base import AsyncResource, execution, in_env, result_reader
from .._keywords import AsyncRunKeywords

T = TypeVar("T")


class AsyncRunbooks(AsyncResource):
    """Lists and executes runbooks, and waits for their sessions."""

    __slots__ = ()

    async def execute(
        self,
        slug: str | RunbookCall[Any] | None = None,
        param_values: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> StartedSession:
        """Execute a runbook and return the session that it started, at once.

        Safe to repeat: all attempts carry one idempotency key, by which the server starts one session only.

        Args:
            slug: The runbook's slug, or a typed call in place of slug and values; see `RunbookCall`.
            param_values: Values of the runbook's parameters by slug; see `airplane_runbooks.ParamValue`.
            id: The runbook's ID (`rbk...`), instead of the slug.
            env_slug: Environment to execute in, instead of the client's.
            env_id: Environment to execute in, by ID.
            timeout: Seconds for this call with its attempts; see `CallOptions`.
            options: Options of this call.

        Raises:
            ConfigurationError: No runbook is given, or a typed call together with an ID or values.
            ParamValueError: A value cannot be sent as it is; the message names its path.
            NotFound: There is no such runbook.
        """
        if isinstance(slug, str) or slug is None:  # as `execution` does, without the cost of a call
            request = ExecuteRunbook(id=id, slug=slug, param_values={} if param_values is None else param_values)
        else:
            request = execution(slug, param_values, id)
        return (await self._runner.call(EXECUTE_RUNBOOK, request, in_env(options, env_slug, env_id), timeout)).data

    async def execute_and_wait(
        self,
        slug: str | RunbookCall[Any] | None = None,
        param_values: Mapping[str, Any] | None = None,
        *,
        wait_timeout: float | None,
        id: str | None = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Session, float], object] | None = None,
        on_prompt: AsyncPromptHandler | None = None,
        raise_on_failure: bool = True,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Session:
        """Execute a runbook, wait for its session to end, and return the session: `execute` and `sessions.wait` in one.

        Once the session has started, every error has its ID (`session_id`) and the idempotency key. A repetition with
        that key leads to the same session.

        Args:
            slug: The runbook's slug, or a typed call in place of slug and values; see `RunbookCall`.
            param_values: Values of the runbook's parameters by slug; see `airplane_runbooks.ParamValue`.
            wait_timeout: Seconds for the start and the wait; None waits for ever.
            id: The runbook's ID (`rbk...`), instead of the slug.
            env_slug: Environment to execute in, instead of the client's.
            env_id: Environment to execute in, by ID.
            poll: See `sessions.wait`.
            on_progress: See `sessions.wait`.
            on_prompt: See `sessions.wait`.
            raise_on_failure: Whether to raise if the session has failed or been cancelled.
            timeout: Seconds for the start, and for each poll.
            options: Options of each call; `idempotency_key` is for the start.

        Raises:
            SessionFailed: The session has failed or been cancelled; the error carries it.
            WaitTimeout: The session has not ended in time.
            ConfigurationError: No runbook is given, or a typed call together with an ID or values; or `wait_timeout`
                cannot work.
            ParamValueError: A value or an answer cannot be sent as it is; the message names its path.
            NotFound: There is no such runbook.
        """
        steps = partial(
            execute_and_wait,
            request=execution(slug, param_values, id),
            wait_timeout=wait_timeout,
            poll=poll,
            on_progress=on_progress,
            on_prompt=on_prompt,
            raise_on_failure=raise_on_failure,
        )
        return await self._runner.run_operation(
            "runbooks.execute_and_wait", steps, in_env(options, env_slug, env_id), timeout
        )

    @overload
    async def run(self, slug: RunbookCall[T], **keywords: Unpack[AsyncRunKeywords]) -> T: ...
    @overload
    async def run(
        self,
        slug: str | None = None,
        param_values: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        type: type[T],
        **keywords: Unpack[AsyncRunKeywords],
    ) -> T: ...
    @overload
    async def run(
        self,
        slug: str | None = None,
        param_values: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        type: UnionType | None = None,
        **keywords: Unpack[AsyncRunKeywords],
    ) -> Any: ...
    async def run(
        self,
        slug: str | RunbookCall[Any] | None = None,
        param_values: Mapping[str, Any] | None = None,
        *,
        wait_timeout: float | None,
        id: str | None = None,
        type: Any = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Session, float], object] | None = None,
        on_prompt: AsyncPromptHandler | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Any:
        """Execute a runbook, wait for its session to end, and return its result.

        Only servers of this package tell results. Once the session has started, every error has its ID (`session_id`)
        and the idempotency key. A repetition with that key leads to the same session.

        Args:
            slug: The runbook's slug, or a typed call in place of slug and values; see `RunbookCall`.
            param_values: Values of the runbook's parameters by slug; see `airplane_runbooks.ParamValue`.
            wait_timeout: Seconds for the start and the wait; None waits for ever.
            id: The runbook's ID (`rbk...`), instead of the slug.
            type: Type of the result, such as a msgspec struct, a data class, a TypedDict, or `list[str] | None`; any
                JSON if there is none. A typed call brings it along.
            env_slug: Environment to execute in, instead of the client's.
            env_id: Environment to execute in, by ID.
            poll: See `sessions.wait`.
            on_progress: See `sessions.wait`.
            on_prompt: See `sessions.wait`.
            timeout: Seconds for the start, and for each poll.
            options: Options of each call; `idempotency_key` is for the start.

        Raises:
            SessionFailed: The session has failed; the error says which step, and why. SessionCancelled if it has been
                cancelled.
            ResultUnavailable: The session has succeeded, and the server does not tell its result.
            DecodeError: The result cannot be read, or is not of its type; the message names the path.
            WaitTimeout: The session has not ended in time.
            ConfigurationError: No runbook is given, or a typed call together with an ID or values; or `wait_timeout`
                cannot work, or the type cannot be read from JSON.
            ParamValueError: A value or an answer cannot be sent as it is; the message names its path.
            NotFound: There is no such runbook.
        """
        ended = partial(
            execute_and_wait,
            request=execution(slug, param_values, id),
            wait_timeout=wait_timeout,
            poll=poll,
            on_progress=on_progress,
            on_prompt=on_prompt,
            raise_on_failure=True,
        )
        steps = partial(result_of, ended=ended, read=result_reader(slug, type))
        return await self._runner.run_operation("runbooks.run", steps, in_env(options, env_slug, env_id), timeout)

    async def list(self, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> tuple[Runbook, ...]:
        """Return the runbooks that the server can execute, with the schemas of their parameters.

        The documented API lacks this operation; servers of this package have it.

        Raises:
            NotSupported: The server does not have this operation.
            ConfigurationError: The base URL does not end in `/v0`, so that extensions cannot be found beside it.
        """
        return (await self._runner.call(LIST_RUNBOOKS, ListRunbooks(), options, timeout)).data.runbooks
