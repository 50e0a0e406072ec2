"""What a runbook gets to work with: steps and prompts, and their replay.

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

A prompt ends the execution of the runbook and holds nothing while the human thinks; the answer executes the runbook
again from its top. What it had done by then is not done again.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar, cast, overload

from ...models import Reviewers
from ..errors import Invalid
from ..execution.executions import cancelled
from ..execution.replay import Journal, Question
from ..execution.signals import Halt
from ..execution.threads import Ended, outcome_of, wait_for
from ..execution.timeouts import InTask, OnThread
from ..logs import class_name
from ..storage.encoding import text
from ..storage.records import Run
from .calls import Call
from .fields import member_reader, parameter
from .values import read_all

T = TypeVar("T")

_MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)  # for the plain steps of one execution, as asyncio would have

_LONGEST_LIMIT = timedelta(days=365_000)  # of a prompt; the calendar ends with the year 9999
_SLICE = 0.1  # seconds between two looks at whether the server stops


class _Base:
    """What both contexts have.

    Attributes:
        session_id: ID of the session.
        run_id: ID of the run of the runbook itself.
        env_slug: Environment in which the runbook is executed.
    """

    def __init__(self, journal: Journal, stopping: threading.Event) -> None:
        self.session_id = journal.root.session_id or ""
        self.run_id = journal.root.id
        self.env_slug = journal.root.env_slug
        self._journal = journal
        self._execution = journal.execution
        self._stopping = stopping

    @property
    def cancelled(self) -> bool:
        """Whether the session is to end soon, since somebody has cancelled it or its time is up.

        For steps that go on for long and have the context at hand; `airplane_runbooks.server.cancelled` is for others.
        """
        return cancelled() or self._execution.is_interrupted

    def _step(self, owner: object, call: Call) -> Run:
        return self._journal.step(self._journal.branch(owner), call)

    def _on_thread(
        self,
        timeout: float | None,
        function: Callable[[], Any],
        has_ended: Callable[[Future[Ended], float], Awaitable[bool]],
    ) -> OnThread | None:
        """Return what calls a function within so many seconds; None without a limit."""
        if timeout is None:
            return None
        return OnThread(timeout, lambda: self._begin(function), has_ended, self._execution.give_up)

    def _begin(self, function: Callable[[], Any], name: str = "runbook-step") -> Future[Ended]:
        with self._journal.apart():  # threads may have run out
            return self._execution.begin(function, name)

    def _ask(self, owner: object, question: Question, fields: dict[str, Any]) -> dict[str, Any]:
        branch = self._journal.branch(owner)
        run = self._journal.prompt(branch, question)
        answer = self._journal.answer(branch, run, question.parameters)
        try:
            values = read_all(question.parameters, answer, "values")
        except Invalid as problem:  # it was checked against the fields that the prompt had then
            raise self._journal.mismatch(f"the answer to {run.name!r} does not fit: {problem}") from None
        return {slug: member_reader(fields[slug])(value) for slug, value in values.items()}


def _question(
    description: str,
    fields: dict[str, Any],
    reviewers: Reviewers | None,
    confirm_text: str,
    cancel_text: str,
    *,
    expires_in: timedelta | None,
) -> Question:
    _refuse_types(reviewers=(reviewers, Reviewers), expires_in=(expires_in, timedelta))
    _refuse_types(confirm_text=(confirm_text, str), cancel_text=(cancel_text, str))
    if expires_in is not None and not timedelta(0) < expires_in <= _LONGEST_LIMIT:
        raise ValueError("expires_in must be positive, and at most 1,000 years")
    reviewers = reviewers or Reviewers()
    listed: dict[str, Any] = {"user": reviewers.users, "group": reviewers.groups}  # nothing has looked at their types
    for kind, names in listed.items():
        if isinstance(names, str):
            raise TypeError(f"the {kind}s among the reviewers are several texts, not one")
        for name in names:
            text(name, f"a {kind} among the reviewers")
    return Question(
        description=text(description, "the description of a prompt"),
        parameters=tuple(parameter(slug, annotation) for slug, annotation in fields.items()),
        reviewers=reviewers,
        confirm_text=text(confirm_text, "the confirm_text of a prompt"),
        cancel_text=text(cancel_text, "the cancel_text of a prompt"),
        expires_in=expires_in,
    )


def _refuse_types(**given: tuple[object, type]) -> None:
    """Refuse what is none of the prompt's own options, and was perhaps meant for a field."""
    for name, (value, kind) in given.items():
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{name}= of a prompt is for its own {kind.__name__}, not {class_name(type(value))}: "
                "a field needs another name"
            )


class Context(_Base):
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
        """Call a function once and for all, and return what JSON makes of its result, now and on every replay.

        `name` is by default the function's. A failing function is called up to `retries` more times, after 0.1, 0.2,
        0.4 and so on up to 5 seconds. An attempt that has not returned after `timeout` seconds has failed (`Timeout`);
        another one begins when its thread has returned after all, and is late if that takes as long again. On replay
        the arguments must be the same, save those that `volatile` names. Raises StepFailed, with the function's
        exception as its cause; also, without another attempt, if the result has no form in JSON. Raises TypeError for a
        coroutine function, and for keywords that both the step and the function could mean.
        """
        if is_async(function):
            raise TypeError("coroutine functions are for runbooks that are coroutine functions themselves")
        call = Call(function, args, kwargs, name=name, volatile=volatile, timeout=timeout, retries=retries)
        run = self._step(threading.get_ident(), call)
        if run.status.is_terminal:
            return self._journal.result(run)  # type: ignore[no-any-return]  # JSON in place of T

        async def attempt() -> T:
            return function(*args, **kwargs)

        async def has_ended(thread: Future[Ended], seconds: float) -> bool:
            return wait_for(thread, seconds)

        async def wait(seconds: float) -> bool:
            return self._stopping.wait(seconds)

        limited = self._on_thread(call.timeout, partial(function, *args, **kwargs), has_ended)
        return run_at_once(self._journal.perform(run, limited or attempt, retries, wait))  # type: ignore[no-any-return]  # likewise

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
    ) -> dict[str, Any]:
        """Ask a human and return the answer by field, as Python values; the session is Waiting until then.

        Each field is a type or a `Field`. Raises PromptCancelled if the human cancels, PromptExpired if nobody has
        answered within `expires_in`.
        """
        question = _question(description, fields, reviewers, confirm_text, cancel_text, expires_in=expires_in)
        return self._ask(threading.get_ident(), question, fields)

    def parallel(self, *branches: Callable[[], T], limit: int = 8) -> list[T]:
        """Call functions that have steps and prompts, side by side, and return their results in the same order.

        At most `limit` at a time are called. A prompt holds up its own branch and no other. When all have ended or
        wait for humans, the first exception in this order is raised, if there is any.
        """
        if limit < 1:
            raise ValueError("limit must be at least 1")
        journal, here = self._journal, self._journal.branch(threading.get_ident())
        opened = [journal.open(here, here.position, None) for _ in branches]

        def along(context: contextvars.Context, number: int) -> T:
            def go() -> T:
                opened[number].owner = threading.get_ident()
                opened[number].enter()
                return branches[number]()

            return context.run(go)

        ended = self._side_by_side(
            [partial(along, contextvars.copy_context(), number) for number in range(len(branches))], limit
        )
        problems = [one.problem for one in ended if one.problem is not None]
        for problem in sorted(problems, key=_is_halt):
            if _is_halt(problem):
                here.halt = cast("Halt", problem)
            raise problem
        return [one.value for one in ended]

    def _side_by_side(self, calls: Sequence[Callable[[], Any]], limit: int) -> list[Ended]:
        ended: list[Ended] = [Ended(None, None)] * len(calls)
        numbers = deque(range(len(calls)))

        def work() -> None:
            with suppress(IndexError):  # there are no more
                while True:
                    number = numbers.popleft()
                    ended[number] = outcome_of(calls[number])

        threads: list[Future[Ended]] = []
        try:
            threads.extend(self._begin(work, "runbook-branch") for _ in range(min(limit, len(calls))))
        finally:
            for thread in threads:
                wait_for(thread)
        return ended


class AsyncContext(_Base):
    """Steps and prompts of one session, for runbooks that are coroutine functions.

    `asyncio.gather`, `TaskGroup` and `create_task` make branches. Branches that have steps begin with one of them, or
    at once: what they are known by is the order of their first steps.
    """

    def __init__(self, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(journal, stopping)
        self._steps: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_MOST_THREADS)
        self.given_up: set[asyncio.Task[Any]] = set()  # have had their time, were cancelled, and go on nevertheless

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
        """Call a function once and for all; plain functions on a thread. Like `Context.step` otherwise.

        Once begun, a step goes on to its end, whoever stops waiting for it: time limits are its own `timeout`, since on
        replay it takes no time. A coroutine is cancelled when its time is up, or when its session has been cancelled.
        """
        call = Call(function, args, kwargs, name=name, volatile=volatile, timeout=timeout, retries=retries)
        try:
            run = self._step(asyncio.current_task(), call)
            if run.status.is_terminal:
                return self._journal.result(run)
            performing = self._journal.perform(
                run, self._caller(function, args, kwargs, call.timeout), retries, self._wait
            )
            task = asyncio.create_task(performing)
            self._steps.add(task)
            task.add_done_callback(self._step_ended)
            return await asyncio.shield(task)
        except Halt:
            await self._held_up()

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
    ) -> dict[str, Any]:
        """Ask a human and return the answer by field. Like `Context.prompt`."""
        question = _question(description, fields, reviewers, confirm_text, cancel_text, expires_in=expires_in)
        try:
            return self._ask(asyncio.current_task(), question, fields)
        except Halt:
            await self._held_up()

    async def until_quiet(self) -> None:
        """Return when the execution must end, or when all that still goes on are humans who think."""
        journal, rounds, moves = self._journal, 0, -1
        while journal.halt is None and rounds < _QUIET_ROUNDS:
            if self._steps or not journal.suspended:
                rounds = 0
                await self._changed.wait()
                self._changed.clear()
            else:
                rounds = rounds + 1 if moves == journal.moves else 0
                moves = journal.moves
                await asyncio.sleep(0)

    def interrupt(self) -> None:
        """Cancel the steps that are coroutines, and let the execution end."""
        for step in self._steps:
            step.cancel()
        self._changed.set()

    async def finish_steps(self) -> None:
        """Wait for the steps that have begun to be recorded."""
        while self._steps:
            await asyncio.wait(self._steps)

    async def _wait(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._stopping.is_set() and (left := end - loop.time()) > 0:  # noqa: ASYNC110 - not an event of asyncio
            await asyncio.sleep(min(left, _SLICE))
        return self._stopping.is_set()

    def _caller(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
    ) -> Callable[[], Awaitable[Any]]:
        call = partial(function, *args, **kwargs)
        if is_async(function):
            return call if timeout is None else self._in_task(timeout, call)
        limited = self._on_thread(timeout, call, _has_ended)

        async def attempt() -> Any:
            async with self._slots:
                if self._journal.halt is not None:  # while it was waiting for a thread
                    raise self._journal.halt
                result = await (self._unlimited(call) if limited is None else limited())
            if not inspect.isawaitable(result):
                return result
            return await (result if timeout is None else self._in_task(timeout, partial(awaited, result))())

        return attempt

    def _in_task(self, timeout: float, call: Callable[[], Coroutine[Any, Any, Any]]) -> InTask:
        return InTask(timeout, call, self._execution.bounded, self.given_up)

    async def _unlimited(self, function: Callable[[], Any]) -> Any:
        thread = self._begin(function)
        await _has_ended(thread, None)
        return thread.result().result()

    def _step_ended(self, task: asyncio.Task[Any]) -> None:
        self._steps.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it may have gone
        self._changed.set()

    async def _held_up(self) -> NoReturn:
        """Stay here until the execution is ended from outside: nothing raised could be caught and lost on its way."""
        self._changed.set()
        while True:
            await asyncio.get_running_loop().create_future()


_QUIET_ROUNDS = 50  # of the event loop without a new step or prompt, far more than passing a result on takes


def _is_halt(problem: BaseException) -> bool:
    return issubclass(type(problem), Halt)  # isinstance would ask the exception itself, which may raise another one


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it makes a coroutine."""
    try:
        return inspect.iscoroutinefunction(inspect.unwrap(function))
    except Exception:  # noqa: BLE001 - an object may raise what it likes when it is asked for its attributes
        return False


async def awaited(awaitable: Awaitable[Any]) -> Any:
    """Await what is no coroutine."""
    return await awaitable


async def _has_ended(thread: Future[Ended], seconds: float | None) -> bool:
    """Wait for a thread, as it cannot be cancelled, and only then be cancelled instead."""
    waiter = asyncio.wrap_future(thread)
    problem: asyncio.CancelledError | None = None
    while not waiter.done():
        try:
            await asyncio.wait({waiter}, timeout=seconds)
            break
        except asyncio.CancelledError as cancellation:
            problem = cancellation
    if problem is not None:
        raise problem
    waiter.cancel()
    return thread.done()


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # T
    raise AssertionError("it was suspended")
