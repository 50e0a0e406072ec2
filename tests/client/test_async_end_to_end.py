"""The async client against the server over real HTTP, on each transport and under each event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import date
from typing import Any

import pytest
import uvloop

from airplane_runbooks import CANCEL, AsyncAirplane, AsyncTransport, NotFound, SessionCancelled
from airplane_runbooks.models import ParameterSchema, Prompt
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.support.clients import left_open, served

pytestmark = pytest.mark.once

SERVER = """
def double(number: int) -> int:
    return number * 2

@runbook
def approval(context: Context, number: int, day: date | None = None) -> str:
    doubled = context.step(double, number)
    answer = context.prompt(f"Keep {doubled}?", keep=bool)
    return "kept" if answer["keep"] else "dropped"

@task
def doubling(number: int) -> int:
    return number * 2
"""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, str]]:
    with served(SERVER) as address:
        yield address


Use = Callable[[AsyncAirplane], Coroutine[Any, Any, None]]


@pytest.fixture(
    params=[
        pytest.param((ThreadedTransport, asyncio.new_event_loop), id="threaded-asyncio"),
        pytest.param((ThreadedTransport, uvloop.new_event_loop), id="threaded-uvloop", marks=pytest.mark.nightly),
        pytest.param((AsyncioTransport, asyncio.new_event_loop), id="asyncio", marks=pytest.mark.nightly),
        pytest.param((AsyncioTransport, uvloop.new_event_loop), id="uvloop"),
    ]
)
def run(request: pytest.FixtureRequest, server: tuple[str, str]) -> Callable[[Use], None]:
    """Use a client, and demand that it leaves nothing behind when it is closed."""
    base_url, api_key = server
    make, new_loop = request.param

    async def main(use: Use) -> None:
        for step in (warm_up, use):
            before = left_open()
            transport: AsyncTransport = make()
            async with AsyncAirplane(api_key, base_url=base_url, transport=transport) as airplane:
                await step(airplane)
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert left_open() == before

    async def warm_up(airplane: AsyncAirplane) -> None:
        await airplane.sessions.list_page()  # uvloop opens a file of its own at its first connection

    def run(use: Use) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main(use))

    return run


def test_a_session_is_executed_answered_and_followed_to_its_end(run: Callable[[Use], None]) -> None:
    async def use(airplane: AsyncAirplane) -> None:
        async def keep(prompt: Prompt, schema: ParameterSchema) -> dict[str, bool]:
            await asyncio.sleep(0)
            return {schema.parameters[0].slug: True}

        values = {"number": 21, "day": date(2026, 1, 31)}
        session = await airplane.runbooks.execute_and_wait(
            "approval", param_values=values, wait_timeout=120, on_prompt=keep
        )
        assert session.parameter_schema.validate(session.param_values) == values
        steps = await airplane.sessions.steps(session.id)
        assert [(step.name, step.output) for step in steps] == [("double", 42), ("Keep 42?", {"keep": True})]
        runs = await airplane.sessions.runs(session.id)
        assert len(runs) == 3
        assert session.id in [one.id async for one in airplane.sessions.list(page_size=1)]

    run(use)


def test_a_prompt_that_is_cancelled_ends_the_session(run: Callable[[Use], None]) -> None:
    async def use(airplane: AsyncAirplane) -> None:
        started = await airplane.runbooks.execute("approval", param_values={"number": 1})
        with pytest.raises(SessionCancelled, match="PromptCancelled: the prompt 'Keep 2"):
            await airplane.sessions.wait(started.session_id, wait_timeout=120, on_prompt=lambda *_: CANCEL)

    run(use)


def test_runs_and_prompts_are_waited_for(run: Callable[[Use], None]) -> None:
    async def use(airplane: AsyncAirplane) -> None:
        started = await airplane.tasks.execute("doubling", param_values={"number": 4})
        ended = await airplane.runs.wait(started.run_id, wait_timeout=120)
        assert (await airplane.runs.get_outputs(ended.id)).output == 8
        session = await airplane.runbooks.execute("approval", param_values={"number": 1})
        while not (prompts := await airplane.sessions.prompts(session.session_id)):
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(airplane.prompts.wait(prompts[0].id, wait_timeout=120))
        await airplane.prompts.submit(prompts[0].id, values={"keep": False})
        assert (await waiting).values == {"keep": False}
        with pytest.raises(NotFound):
            await airplane.sessions.wait("ses0", wait_timeout=120)

    run(use)


def test_cancelled_waits_leave_nothing_behind(run: Callable[[Use], None]) -> None:
    async def use(airplane: AsyncAirplane) -> None:
        started = await airplane.runbooks.execute("approval", param_values={"number": 1})
        while not await airplane.sessions.prompts(started.session_id):
            await asyncio.sleep(0.01)
        waits = [asyncio.create_task(airplane.sessions.wait(started.session_id, wait_timeout=None)) for _ in range(50)]
        await asyncio.sleep(0.3)
        for wait in waits:
            wait.cancel()
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        assert (await airplane.sessions.get(started.session_id)).status == "Waiting"

    run(use)
