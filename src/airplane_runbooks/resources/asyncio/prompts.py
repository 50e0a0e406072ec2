"""Prompts for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from ...models import AnsweredPrompt, CancelPrompt, GetPrompt, ListPrompts, Prompt, SubmitPrompt
from ...operations import CANCEL_PROMPT, GET_PROMPT, LIST_PROMPTS, SUBMIT_PROMPT
from ...options import CallOptions, Timeout
from ...policy import PollPolicy
from ...waiters.follow import wait_for_prompt
from .._base import AsyncResource, answer_of


class AsyncPrompts(AsyncResource):
    """Reads, awaits and answers prompts."""

    __slots__ = ()

    async def get(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> Prompt:
        """Return a prompt with its schema and, once it has been answered, the answer.

        Raises:
            NotFound: There is no such prompt.
        """
        return (await self._runner.call(GET_PROMPT, GetPrompt(id=id), options, timeout)).data.prompt

    async def list(
        self, run_id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None
    ) -> tuple[Prompt, ...]:
        """Return the prompts of a run.

        Raises:
            NotFound: There is no such run.
        """
        return (await self._runner.call(LIST_PROMPTS, ListPrompts(run_id=run_id), options, timeout)).data.prompts

    async def submit(
        self,
        id: str,
        values: Mapping[str, Any] | msgspec.Struct | None = None,
        *,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> AnsweredPrompt:
        """Answer a prompt. `values` are keyed by the slugs of its schema, or the fields of a struct.

        Raises:
            BadRequest: The values do not fit the schema.
            Conflict: The prompt has been answered or cancelled already.
            NotFound: There is no such prompt.
            ParamValueError: A value cannot be sent as it is; the message names its path.
        """
        return (
            await self._runner.call(SUBMIT_PROMPT, SubmitPrompt(id=id, values=answer_of(values)), options, timeout)
        ).data

    async def cancel(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> AnsweredPrompt:
        """Reject a prompt.

        Raises:
            Conflict: The prompt has been answered or cancelled already.
            NotFound: There is no such prompt.
        """
        return (await self._runner.call(CANCEL_PROMPT, CancelPrompt(id=id), options, timeout)).data

    async def wait(
        self,
        id: str,
        *,
        wait_timeout: float | None,
        poll: PollPolicy | None = None,
        on_progress: Callable[[Prompt, float], object] | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Prompt:
        """Wait for a prompt to be answered or cancelled, and return it. To wait again, its ID is enough.

        Args:
            id: The prompt's ID.
            wait_timeout: Seconds to wait at most; None waits for ever.
            poll: How often to poll a server that does not answer when something has changed.
            on_progress: Called with the prompt and the seconds since the start: when something has changed, and at
                least every `max_delay` of the policy.
            timeout: Seconds for one poll with its attempts.
            options: Options of each call.

        Raises:
            WaitTimeout: The prompt is still open.
            ConfigurationError: `wait_timeout` is neither positive and finite nor None.
            NotFound: There is no such prompt.
        """
        steps = partial(wait_for_prompt, prompt_id=id, wait_timeout=wait_timeout, poll=poll, on_progress=on_progress)
        return await self._runner.run_operation("prompts.wait", steps, options, timeout)
