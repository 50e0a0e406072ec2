"""Contexts of runbooks: steps and prompts, which are recorded and replayed.

    @runbook
    def refund(context: Context, customer: str, limit: int = 50_000) -> str:
        invoice = context.step(find_invoice, customer)
        answer = context.prompt(f"Refund {invoice['id']}?", approve=bool)
        if not answer["approve"] or invoice["cents"] > limit:
            return "refused"
        return context.step(issue_refund, invoice, retries=3)

    @runbook
    async def refund_all(context: AsyncContext, customers: list[str]) -> list[str]:
        refunds = [context.step(issue_refund, customer) for customer in customers]
        return await asyncio.gather(*refunds)

A prompt ends the execution of the runbook and holds nothing while the human thinks. The answer executes the runbook
again from its top. Steps that have ended are not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

import msgspec

from ...models import Reviewers
from .calls import StepCall
from .displays import Display
from .questions import Question
from .runtime import AsyncRuntime, Runtime, RuntimeInfo

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)
RuntimeT = TypeVar("RuntimeT", bound=RuntimeInfo)


class _Base(Generic[RuntimeT]):
    """The part that both contexts share.

    Attributes:
        session_id: ID of the session.
        run_id: ID of the run of the runbook itself.
        env_slug: Environment in which the runbook is executed.
    """

    def __init__(self, runtime: RuntimeT) -> None:
        self.session_id = runtime.session_id
        self.run_id = runtime.run_id
        self.env_slug = runtime.env_slug
        self._runtime = runtime

    @property
    def cancelled(self) -> bool:
        """True once the session is to end soon, because it was cancelled or its time is up.

        For long steps that have the context at hand; other functions call `airplane_runbooks.server.cancelled`.
        """
        return self._runtime.cancelled


class Context(_Base[Runtime]):
    """Steps and prompts of one session, for runbooks that are plain functions."""

    def step(
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
        volatile: Collection[str] = (),
        **kwargs: Any,
    ) -> T:
        """Call a function once and record its result; return the result as read from JSON, also on every replay.

        `name` is by default the function's. A failing function is called up to `retries` more times, after 0.1, 0.2,
        0.4 and so on up to 5 seconds. An attempt that has not returned after `timeout` seconds has failed (`Timeout`);
        the next one begins when its thread has returned after all, and fails if that takes as long again. On replay
        the arguments must be the same, except those that `volatile` names.

        Raises StepFailed, with the function's exception as its cause; also, without another attempt, if the result
        cannot be written as JSON. Raises TypeError for a coroutine function, and for keywords that are both an option
        of the step and a parameter of the function.
        """
        call = StepCall(function, args, kwargs, name=name, retries=retries, timeout=timeout, volatile=volatile)
        if call.is_async:
            raise TypeError("an async step needs an async runbook: declare it with async def")
        return self._runtime.step(call)  # type: ignore[no-any-return]  # JSON in place of T

    @overload
    def prompt(
        self,
        description: str,
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        expires_in: timedelta | None = None,
        **fields: Any,
    ) -> dict[str, Any]: ...
    @overload
    def prompt(
        self,
        description: str,
        answer: type[AnswerT],
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        expires_in: timedelta | None = None,
    ) -> AnswerT: ...
    def prompt(
        self,
        description: str,
        answer: type[msgspec.Struct] | None = None,
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        expires_in: timedelta | None = None,
        **fields: Any,
    ) -> Any:
        """Ask a human and return the answer by field, as Python values; the session is Waiting until then.

        Each field is a type or a `Field`. A msgspec struct may take the place of the fields; the answer is an object of
        it then. Raises PromptCancelled if the human cancels, PromptExpired if the prompt is not answered within
        `expires_in`.
        """
        question = Question(
            description,
            answer,
            fields,
            reviewers=reviewers,
            confirm_text=confirm_text,
            cancel_text=cancel_text,
            expires_in=expires_in,
        )
        return self._runtime.prompt(question)

    def show(self, value: Any, /, *, name: str = "Note") -> None:
        """Show a text in Markdown, or another value, on the page of the session, under its name as a heading.

        It is recorded once, at this point of the runbook, and not again on a replay. Raises TypeError for a value that
        has no form in JSON, and ValueError for more than 100,000 characters of text or a million bytes of JSON.
        """
        self._runtime.show(Display(value, name))

    def parallel(self, *branches: Callable[[], T], limit: int = 8) -> list[T]:
        """Call functions that have steps and prompts, side by side, and return their results in the same order.

        At most `limit` are called at a time. A prompt holds up its own branch only. When all have ended or wait for
        humans, the first exception in this order is raised, if there is any.
        """
        if limit < 1:
            raise ValueError("limit= must be at least 1")
        return self._runtime.parallel(branches, limit)


class AsyncContext(_Base[AsyncRuntime]):
    """Steps and prompts of one session, for async runbooks.

    `asyncio.gather`, `TaskGroup` and `create_task` make branches. A branch that has steps must begin with one of them,
    or at once: branches are recognised on replay by the order of their first steps.
    """

    @overload
    async def step(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        /,
        *args: Any,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
        volatile: Collection[str] = (),
        **kwargs: Any,
    ) -> T: ...
    @overload
    async def step(
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
        volatile: Collection[str] = (),
        **kwargs: Any,
    ) -> T: ...
    async def step(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
        volatile: Collection[str] = (),
        **kwargs: Any,
    ) -> Any:
        """Call a function once and record its result; plain functions run on a thread. Otherwise like `Context.step`.

        A step that has begun goes on to its end even if it is no longer awaited. Limit its time with `timeout`: on
        replay, a recorded step takes no time. A coroutine is cancelled when its timeout has passed, or with its
        session.
        """
        call = StepCall(function, args, kwargs, name=name, retries=retries, timeout=timeout, volatile=volatile)
        return await self._runtime.step(call)

    @overload
    async def prompt(
        self,
        description: str,
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        expires_in: timedelta | None = None,
        **fields: Any,
    ) -> dict[str, Any]: ...
    @overload
    async def prompt(
        self,
        description: str,
        answer: type[AnswerT],
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        expires_in: timedelta | None = None,
    ) -> AnswerT: ...
    async def prompt(
        self,
        description: str,
        answer: type[msgspec.Struct] | None = None,
        /,
        *,
        reviewers: Reviewers | None = None,
        confirm_text: str = "",
        cancel_text: str = "",
        expires_in: timedelta | None = None,
        **fields: Any,
    ) -> Any:
        """Ask a human and return the answer by field. Like `Context.prompt`."""
        question = Question(
            description,
            answer,
            fields,
            reviewers=reviewers,
            confirm_text=confirm_text,
            cancel_text=cancel_text,
            expires_in=expires_in,
        )
        return await self._runtime.prompt(question)

    async def show(self, value: Any, /, *, name: str = "Note") -> None:
        """Show a text in Markdown, or another value, on the page of the session. Like `Context.show`."""
        await self._runtime.show(Display(value, name))
