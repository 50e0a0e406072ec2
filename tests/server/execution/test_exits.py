"""A runbook that exits ends its session, and not the server, and prints nothing to standard error."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

CHILD = textwrap.dedent(
    """
    import asyncio, gc, sys

    from airplane_runbooks.server import AsyncContext, Context, RunbookServer, runbook, task
    from tests.support.servers import Client, eventually

    PROBLEM = {problem}
    RECORDED = []


    def leave():
        raise PROBLEM


    async def leave_soon():
        await asyncio.sleep(0)
        raise PROBLEM


    async def slow():
        await asyncio.sleep(0.2)
        RECORDED.append(1)
        return "recorded"


    @runbook
    def plain(context: Context):
        leave()


    @runbook
    def plain_step(context: Context):
        context.step(leave)


    @runbook
    def plain_branch(context: Context):
        context.parallel(leave, lambda: context.step(lambda: 1, name="x"))


    @runbook
    async def body(context: AsyncContext):
        await leave_soon()


    @runbook
    async def step(context: AsyncContext):
        await context.step(leave_soon)


    @runbook
    async def step_with_a_limit(context: AsyncContext):
        await context.step(leave_soon, timeout=5)


    @runbook
    async def step_on_a_thread(context: AsyncContext):
        await context.step(leave)


    @runbook
    async def own_task(context: AsyncContext):
        work = asyncio.create_task(context.step(slow))
        await asyncio.sleep(0)
        asyncio.create_task(leave_soon())
        await work
        await asyncio.sleep(30)


    @runbook
    async def many_tasks(context: AsyncContext):
        await asyncio.gather(leave_soon(), context.step(slow), leave_soon(), leave_soon())


    @runbook
    async def stubborn(context: AsyncContext):
        async def holds_on():
            try:
                await asyncio.sleep(30)
            finally:
                leave()

        holding = asyncio.create_task(holds_on())
        await leave_soon()


    @task
    async def alone():
        await leave_soon()


    @task
    async def with_a_task():
        await asyncio.gather(leave_soon(), leave_soon())


    books = (plain, plain_step, plain_branch, body, step, step_with_a_limit)
    books += (step_on_a_thread, own_task, many_tasks, stubborn)
    with RunbookServer(books, [alone, with_a_task]) as server:
        api = Client(server)
        for slug in {slugs!r}:
            if slug in ("alone", "with_a_task"):
                run_id = api.post("/tasks/execute", {{"slug": slug}}).json["runID"]
                ended = eventually(lambda: (run := api.get("/runs/get", id=run_id).json)["status"] == "Failed" and run)
                steps = []
            else:
                api.reaches(session_id := api.execute(slug), "Failed")
                ended, *steps = api.runs(session_id)
            done = [f"{{one['taskName']}} {{one['status']}} {{api.output(one)}}" for one in steps]
            print(slug, *done, api.output(ended)["error"], sep=": ")
        gc.collect()
        api.close()
    """
)

PROBLEMS = {"SystemExit": 'SystemExit("author\'s words")', "KeyboardInterrupt": 'KeyboardInterrupt("author\'s words")'}
WORDS = "author's words"

STEPS = {  # that are recorded all the same
    "plain": None,
    "plain_step": "leave Failed",
    "plain_branch": "x Succeeded 1",
    "body": None,
    "step": "leave_soon Failed",
    "step_with_a_limit": "leave_soon Failed",
    "step_on_a_thread": "leave Failed",
    "own_task": "slow Succeeded recorded",
    "many_tasks": "slow Succeeded recorded",
    "stubborn": None,
    "alone": None,
    "with_a_task": None,
}


def said_of(slug, kind):
    """Return how the session of a runbook ends: on standard output, and in the log."""
    step = STEPS[slug]
    if step is None or "Failed" not in step:
        return ": ".join(filter(None, [slug, step, WORDS])), kind
    whole = f"step '{step.split()[0]}' failed: {kind}: {WORDS}"
    return f"{slug}: {step} {{'error': \"{WORDS}\"}}: {whole}", "StepFailed"


@pytest.mark.once
@pytest.mark.parametrize("kind", ["SystemExit", pytest.param("KeyboardInterrupt", marks=pytest.mark.nightly)])
def test_an_exit_in_a_runbook_ends_the_session_alone(kind):
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(problem=PROBLEMS[kind], slugs=tuple(STEPS))],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    expected = [said_of(slug, kind) for slug in STEPS]
    assert child.stdout.splitlines() == [line for line, _ in expected]
    said_first = [line for line in child.stderr.splitlines() if not line.startswith("  ")]
    for said, (_, logged) in zip(said_first, expected, strict=True):
        assert f" failed: {logged} at " in said
        assert "author" not in said
