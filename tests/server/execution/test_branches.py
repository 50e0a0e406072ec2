"""Steps and prompts side by side, in threads and in tasks."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from itertools import permutations

import pytest

from airplane_runbooks.server import AsyncContext, Context, PromptCancelled, StepFailed, runbook, task
from tests.support.servers import eventually, served

CALLS = Counter()
LOCK = threading.Lock()
GATE = threading.Event()


def count(name):
    with LOCK:
        CALLS[name] += 1
        return f"{name} {CALLS[name]}"


async def count_async(name):
    await asyncio.sleep(0.001)
    return count(name)


def nap(seconds, name):
    time.sleep(seconds)
    return count(name)


def explode():
    raise ZeroDivisionError("boom")


def pass_gate(name):
    assert GATE.wait(100)
    return count(name)


@task
async def shouts(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


@runbook
def threads(context: Context, delays: list[float]) -> list:
    """Branches of a step, a question and a step, between two steps of the main line."""
    first = context.step(count, "first")

    def along(number):
        before = context.step(nap, delays[number], f"before {number}")
        if not context.prompt(f"Branch {number}?", go=bool)["go"]:
            return [before]
        return [before, context.step(nap, delays[number], f"after {number}")]

    ways = context.parallel(*[lambda number=number: along(number) for number in range(len(delays))])
    return [first, *ways, context.step(count, "last")]


@runbook
async def tasks(context: AsyncContext, delays: list[float]) -> list:
    """The same by asyncio."""
    first = await context.step(count_async, "first")

    async def along(number):
        before = await context.step(nap, delays[number], f"before {number}")
        if not (await context.prompt(f"Branch {number}?", go=bool))["go"]:
            return [before]
        return [before, await context.step(nap, delays[number], f"after {number}")]

    ways = await asyncio.gather(*map(along, range(len(delays))))
    return [first, *ways, await context.step(count, "last")]


@runbook
async def group(context: AsyncContext, delays: list[float]) -> list:
    """The same by a task group, with branches inside of branches."""
    first = await context.step(count, "first")
    ways = [[] for _ in delays]

    async def along(number):
        ways[number].append(await context.step(nap, delays[number], f"before {number}"))

        async def deeper():
            if (await context.prompt(f"Branch {number}?", go=bool))["go"]:
                ways[number].append(await context.step(nap, delays[number], f"after {number}"))

        await asyncio.gather(deeper())

    async with asyncio.TaskGroup() as one:
        for number in range(len(delays)):
            one.create_task(along(number))
    return [first, *ways, await context.step(shouts, "last")]


@runbook
def one_fails(context: Context, swallow: bool) -> str:
    """One branch fails while another one asks."""
    try:
        context.parallel(
            lambda: context.prompt("Go on?", go=bool),
            lambda: context.step(explode),
            lambda: context.step(count, "beside"),
        )
    except StepFailed as problem:
        if not swallow:
            raise
        return f"caught {problem.kind}"
    return "?"


@runbook
async def one_fails_async(context: AsyncContext, swallow: bool) -> str:
    """The same by asyncio."""
    asking = asyncio.create_task(context.prompt("Go on?", go=bool))
    try:
        await asyncio.gather(asking, context.step(explode), context.step(count, "beside"))
    except StepFailed as problem:
        if not swallow:
            raise
        await asking
        return f"caught {problem.kind}"
    return "?"


@runbook
def swallows(context: Context) -> str:
    def stubborn():
        try:
            return context.prompt("Go on?", go=bool)["go"]
        except BaseException:  # noqa: BLE001 - that is the test
            context.step(count, "must not be")

    return str(context.parallel(stubborn, lambda: context.step(count, "beside")))


@runbook
async def swallows_async(context: AsyncContext) -> str:
    try:
        return str((await context.prompt("Go on?", go=bool))["go"])
    except BaseException:  # noqa: BLE001 - that is the test
        await context.step(count, "must not be")
        return "?"
    finally:
        await context.step(count, "cleanup")


@runbook
async def held(context: AsyncContext) -> list:
    """Ask while a step takes its time."""
    return await asyncio.gather(context.prompt("Go on?", go=bool), context.step(pass_gate, "slow"))


@runbook
async def times_out(context: AsyncContext) -> str:
    """Give up waiting for a step, which goes on."""
    loop, limit = asyncio.get_running_loop(), asyncio.timeout(None)

    def outlast() -> str:
        loop.call_soon_threadsafe(limit.reschedule, loop.time())
        return nap(0.3, "too slow")

    try:
        async with limit:
            await context.step(outlast)
    except TimeoutError:
        return "gave up"
    return "?"


@runbook
async def cancels_itself(context: AsyncContext) -> None:
    await context.step(count, "x")
    raise asyncio.CancelledError


@runbook
async def retries(context: AsyncContext) -> str:
    """Fail twice."""

    async def unsure():
        if CALLS["unsure"] < 2:
            count("unsure")
            raise ConnectionError
        return "sure"

    return await context.step(unsure, retries=2)


@runbook
async def misuses(context: AsyncContext) -> str:
    async def inner():
        await context.step(count, "inner")

    return await context.step(inner)


@runbook
def coroutine_in_plain(context: Context) -> None:
    context.step(count_async, "x")


@runbook
async def forgets(context: AsyncContext) -> str:
    """Start a branch without waiting for it."""
    asyncio.create_task(context.step(nap, 0.05, "forgotten"))  # noqa: RUF006 - that is the test
    await asyncio.sleep(0)
    return "done"


@runbook
async def cancellable(context: AsyncContext) -> None:
    try:
        await asyncio.gather(context.prompt("One?", go=bool), context.prompt("Two?", go=bool))
    except PromptCancelled as problem:
        await context.step(count, problem.description)
        raise


BOOKS = [value for value in list(vars().values()) if type(value).__name__ == "Runbook"]


@pytest.fixture(scope="module")
def api():
    with served(*BOOKS, tasks=[shouts]) as client:
        yield client


@pytest.fixture(autouse=True)
def afresh():
    CALLS.clear()
    GATE.clear()


def open_prompts(api, session_id, number):
    """Wait until so many prompts are open, and return them by their descriptions."""

    def look():
        api.reaches(session_id, "Waiting")
        found = {}
        for run in api.runs(session_id):
            for prompt in api.get("/prompts/list", runID=run["id"]).json["prompts"]:
                if prompt["submittedAt"] is None:
                    found[prompt["description"]] = prompt["id"]
        return found if len(found) == number else None

    return eventually(look)


def submit(api, prompt_id, *, go=True):
    assert api.post("/prompts/submit", {"id": prompt_id, "values": {"go": go}}).status == 200


def result(api, session_id, status="Succeeded"):
    api.reaches(session_id, status)
    return api.output(api.runs(session_id)[0])


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("slug", ["threads", "tasks", "group"])
def test_branches_may_be_answered_in_any_order(api, slug, order):
    delays = [0.02 * place for place in order]
    session_id = api.execute(slug, {"delays": delays})
    prompts = open_prompts(api, session_id, 3)
    for number in order:
        submit(api, prompts[f"Branch {number}?"], go=number != 1)
    last = "LAST" if slug == "group" else "last 1"
    ways = [["before 0 1", "after 0 1"], ["before 1 1"], ["before 2 1", "after 2 1"]]
    assert result(api, session_id) == ["first 1", *ways, last]
    assert set(CALLS.values()) == {1}


@pytest.mark.parametrize("slug", ["threads", "tasks", "group"])
def test_an_answered_branch_goes_on_while_another_waits(api, slug):
    session_id = api.execute(slug, {"delays": [0, 0]})
    prompts = open_prompts(api, session_id, 2)
    submit(api, prompts["Branch 1?"])
    eventually(lambda: CALLS["after 1"])
    assert list(open_prompts(api, session_id, 1)) == ["Branch 0?"]
    submit(api, prompts["Branch 0?"])
    result(api, session_id)
    assert set(CALLS.values()) == {1}


@pytest.mark.parametrize("slug", ["one_fails", "one_fails_async"])
def test_a_failing_branch_fails_the_session_though_another_asks(api, slug):
    session_id = api.execute(slug, {"swallow": False})
    assert "ZeroDivisionError" in str(result(api, session_id, "Failed"))
    assert CALLS["beside"] == 1


@pytest.mark.parametrize("slug", ["one_fails", "one_fails_async"])
def test_a_caught_failure_leaves_the_prompt_of_a_branch_open(api, slug):
    session_id = api.execute(slug, {"swallow": True})
    (prompt_id,) = open_prompts(api, session_id, 1).values()
    submit(api, prompt_id)
    assert result(api, session_id) == "caught ZeroDivisionError"


@pytest.mark.parametrize(("slug", "end"), [("swallows", "[True, 'beside 1']"), ("swallows_async", "True")])
def test_a_runbook_that_swallows_the_pause_pauses_all_the_same(api, slug, end):
    session_id = api.execute(slug)
    (prompt_id,) = open_prompts(api, session_id, 1).values()
    submit(api, prompt_id)
    assert result(api, session_id) == end
    assert CALLS["must not be"] == 0


def test_a_step_that_has_begun_is_recorded_before_the_pause(api):
    session_id = api.execute("held")
    eventually(lambda: len(api.runs(session_id)) == 3)
    assert api.session(session_id)["status"] == "Active"
    GATE.set()
    (prompt_id,) = open_prompts(api, session_id, 1).values()
    submit(api, prompt_id)
    assert result(api, session_id) == [{"go": True}, "slow 1"]


def test_a_cancelled_session_waits_for_its_step_in_progress(api):
    session_id = api.execute("held")
    runs = eventually(lambda: len(found := api.runs(session_id)) == 3 and found)
    assert api.post("/runs/cancel", {"runID": runs[0]["id"]}).status == 200
    assert api.session(session_id)["status"] == "Cancelling"
    GATE.set()
    api.reaches(session_id, "Cancelled")


def test_a_step_that_is_no_longer_awaited_goes_on_to_its_end(api):
    assert api.finishes("times_out") == "gave up"
    assert CALLS["too slow"] == 1
    assert api.finishes("forgets") == "done"
    assert CALLS["forgotten"] == 1


def test_a_runbook_may_raise_cancellederror_itself(api):
    assert api.finishes("cancels_itself", status="Failed") == {"error": "CancelledError"}


def test_a_step_of_a_coroutine_function_is_retried(api):
    assert api.finishes("retries") == "sure"


def test_misuse_of_a_context_is_named_in_the_error(api):
    assert "the context cannot be used inside step" in str(api.finishes("misuses", status="Failed"))
    assert "an async step needs an async runbook" in str(api.finishes("coroutine_in_plain", status="Failed"))


def test_a_cancelled_prompt_is_raised_where_it_was_asked(api):
    session_id = api.execute("cancellable")
    prompts = open_prompts(api, session_id, 2)
    assert api.post("/prompts/cancel", {"id": prompts["Two?"]}).status == 200
    result(api, session_id, "Cancelled")
    assert CALLS == {"Two?": 1}


def test_an_async_task_is_executed_as_a_run(api):
    run_id = api.post("/tasks/execute", {"slug": "shouts", "paramValues": {"text": "a"}}).json["runID"]
    eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")
    assert api.get("/runs/getOutputs", id=run_id).json["output"] == "A"


def test_branches_leave_no_threads_and_no_log_messages(caplog):
    with caplog.at_level(logging.WARNING, "asyncio"), served(*BOOKS, tasks=[shouts]) as api:
        before = set(threading.enumerate())
        for slug in ("tasks", "group", "threads"):
            session_id = api.execute(slug, {"delays": [0, 0]})
            for prompt_id in open_prompts(api, session_id, 2).values():
                submit(api, prompt_id)
            api.reaches(session_id, "Succeeded")
        lasting = ("runbook-api", "runbook-worker", "runbook-flusher")  # they start as they are needed
        eventually(lambda: all(one.name.startswith(lasting) for one in set(threading.enumerate()) - before))
    assert caplog.records == []
