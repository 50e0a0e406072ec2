"""The async client, waiting, prompts and parameters as a type checker sees them. Checked by both, never run.

Every ignored line must be an error to both: mypy warns of ignores it does not need, and so does pyright, told so here.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, assert_type

from airplane_runbooks import (
    CANCEL,
    Airplane,
    AirplaneError,
    AsyncAirplane,
    AsyncPromptHandler,
    AsyncTransport,
    Cancel,
    Failure,
    PollPolicy,
    PromptAnswer,
    PromptHandler,
    Reply,
    RunFailed,
    SessionFailed,
    Transport,
    WaitTimeout,
)
from airplane_runbooks.models import (
    GetSession,
    LogLine,
    ParameterSchema,
    Prompt,
    Run,
    RunOutputs,
    RunStatus,
    Session,
    StartedRun,
    StartedSession,
    Step,
)
from airplane_runbooks.operations import GET_SESSION
from airplane_runbooks.testing import FakeTransport
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport


class OwnClient(AsyncAirplane):
    """A client that an SDK extends."""

    async def hello(self) -> StartedSession:
        return await self.runbooks.execute("hello")


def agree(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
    return {parameter.slug: True for parameter in schema.parameters}


def choose(prompt: Prompt, schema: ParameterSchema) -> PromptAnswer:
    return CANCEL if schema.parameters else None


async def agree_async(prompt: Prompt, schema: ParameterSchema) -> Mapping[str, Any] | Cancel:
    return CANCEL


def answer_text(prompt: Prompt, schema: ParameterSchema) -> str:
    return prompt.description


def report(session: Session, elapsed: float) -> None:
    assert_type((session, elapsed), tuple[Session, float])


async def report_async(run: Run, elapsed: float) -> None:
    assert_type((run, elapsed), tuple[Run, float])


def async_clients(carry: Callable[[AsyncTransport], None], carry_sync: Callable[[Transport], None]) -> None:
    assert_type(AsyncAirplane("tkn_1", timeout=None, env_slug="prod"), AsyncAirplane)
    AsyncAirplane(transport=FakeTransport().as_async())
    AsyncAirplane(transport=AsyncioTransport(pool_size=10))
    AsyncAirplane(transport=ThreadedTransport(Urllib3Transport()))
    carry(AsyncioTransport(proxy=None))
    carry(ThreadedTransport(pool_size=3))

    AsyncAirplane(transport=Urllib3Transport())  # type: ignore[arg-type]
    Airplane(transport=ThreadedTransport())  # type: ignore[arg-type]
    carry_sync(AsyncioTransport())  # type: ignore[arg-type]
    carry(Urllib3Transport())  # type: ignore[arg-type]


async def async_calls(own: OwnClient, since: datetime) -> None:
    async with own as entered:
        assert_type(entered, OwnClient)
    assert_type(own.with_options(timeout=1), OwnClient)
    assert_type(await own.with_options(env_id="env1").hello(), StartedSession)
    assert_type(await own.aclose(), None)
    assert_type(await own.call(GET_SESSION, GetSession(id="ses1")), Reply[Session])
    assert_type(await own.sessions.get("ses1"), Session)
    assert_type(own.sessions.list(updated_after=since), AsyncIterator[Session])
    assert_type([run async for run in own.runs.list(page_size=10)], list[Run])
    assert_type(await own.runs.list_page(page=1), tuple[Run, ...])
    assert_type(await own.runs.get_outputs("run1"), RunOutputs)
    assert_type(own.runs.logs("run1"), AsyncIterator[LogLine])
    assert_type((await own.sessions.steps("ses1", logs=True))[0].logs, tuple[LogLine, ...])
    assert_type(await own.runs.cancel("run1"), None)
    assert_type(await own.tasks.execute("t"), StartedRun)
    assert_type(await own.prompts.list("run1"), tuple[Prompt, ...])

    own.sessions.get("ses1").status  # type: ignore[attr-defined]
    for _ in own.sessions.list():  # type: ignore[attr-defined]
        pass
    own.close()  # type: ignore[attr-defined]


def waiting(airplane: Airplane) -> None:
    assert_type(airplane.sessions.wait("ses1", wait_timeout=60), Session)
    assert_type(airplane.sessions.wait("ses1", wait_timeout=None, on_progress=report, raise_on_failure=False), Session)
    assert_type(airplane.sessions.wait("ses1", wait_timeout=1, on_prompt=agree, poll=PollPolicy(max_delay=1)), Session)
    assert_type(airplane.runs.wait("run1", wait_timeout=60, on_progress=report_async), Run)
    assert_type(airplane.prompts.wait("pmt1", wait_timeout=60), Prompt)
    assert_type(airplane.runbooks.execute_and_wait("x", wait_timeout=60, on_prompt=choose), Session)
    assert_type(airplane.sessions.result("ses1", wait_timeout=60, on_prompt=agree), Any)
    assert_type(airplane.runbooks.run("x", {"a": 1}, wait_timeout=60, on_progress=report), Any)
    assert_type(airplane.runbooks.execute_and_wait("x", {"a": 1}, wait_timeout=60, timeout=5), Session)

    airplane.sessions.wait("ses1")  # type: ignore[call-arg]
    airplane.sessions.result("ses1")  # type: ignore[call-overload]
    airplane.runbooks.run("x", {})  # type: ignore[call-overload]
    airplane.sessions.wait("ses1", 60)  # type: ignore[call-arg]
    airplane.sessions.wait("ses1", wait_timeout="60")  # type: ignore[arg-type]
    airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=agree_async)  # type: ignore[arg-type]
    airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=answer_text)  # type: ignore[arg-type]
    airplane.sessions.wait("ses1", wait_timeout=60, on_progress=report_async)  # type: ignore[arg-type]
    airplane.sessions.wait("ses1", timeout=60)  # type: ignore[call-arg]
    airplane.runbooks.execute_and_wait("x")  # type: ignore[call-arg]
    airplane.runbooks.execute_and_wait("x", {}, timeout=60)  # type: ignore[call-arg]


async def waiting_async(airplane: AsyncAirplane) -> None:
    assert_type(await airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=agree), Session)
    assert_type(await airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=agree_async), Session)
    assert_type(await airplane.sessions.result("ses1", wait_timeout=60, on_prompt=agree_async), Any)
    assert_type(await airplane.runbooks.run("x", wait_timeout=60), Any)
    assert_type(await airplane.runbooks.execute_and_wait(id="rbk1", wait_timeout=None, on_prompt=choose), Session)
    assert_type(await airplane.runs.wait("run1", wait_timeout=60, on_progress=report_async), Run)

    await airplane.sessions.wait("ses1", wait_timeout=60, on_prompt=answer_text)  # type: ignore[arg-type]


def handlers(take: Callable[[PromptHandler], None], take_async: Callable[[AsyncPromptHandler], None]) -> None:
    take(agree)
    take_async(agree)
    take_async(agree_async)
    take(agree_async)  # type: ignore[arg-type]


def parts(airplane: Airplane) -> None:
    assert_type(airplane.sessions.runs("ses1"), tuple[Run, ...])
    assert_type(airplane.sessions.prompts("ses1"), tuple[Prompt, ...])
    assert_type(airplane.sessions.list(), Iterator[Session])
    (step,) = airplane.sessions.steps("ses1")
    assert_type(step, Step)
    assert_type(step.name, str)
    assert_type(step.status, RunStatus)
    assert_type(step.output, Any)
    assert_type(step.error, str | None)
    assert_type(step.ended_at, datetime | None)

    step.name = "other"  # type: ignore[misc]


def parameters(session: Session, run: Run, prompt: Prompt) -> None:
    assert_type(session.parameter_schema, ParameterSchema)
    assert_type(run.parameter_schema, ParameterSchema)
    assert_type(prompt.schema.validate({"approve": True}), dict[str, Any])
    assert_type(session.parameter_schema.validate(session.param_values, root="param_values"), dict[str, Any])

    prompt.schema.validate([1])  # type: ignore[arg-type]


def failures(airplane: Airplane) -> None:
    try:
        airplane.sessions.wait("ses1", wait_timeout=60)
    except SessionFailed as failure:
        assert_type(failure.session, Session)
        assert_type(failure.failure, Failure | None)
        assert_type(failure.session.output, Any)
    except RunFailed as failure:
        assert_type(failure.run, Run)
    except WaitTimeout as failure:
        assert_type(failure.last, Session | Run | Prompt | None)
    except AirplaneError as failure:
        assert_type(failure.session_id, str | None)
