"""Timeouts that authors set, cancellations that steps see, and functions that never return."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3

from airplane_runbooks.server import AsyncContext, Context, StepFailed, cancelled, runbook, task
from airplane_runbooks.server.execution import execution, watchdog
from tests.support.servers import eventually, served

CALLS = Counter()
SEEN = {}
DOOR = threading.Event()  # functions hang until it is set, at the end of the test
DOORS = {}


@pytest.fixture(autouse=True)
def door():
    DOOR.clear()
    CALLS.clear()
    SEEN.clear()
    yield DOOR
    DOOR.set()
    for one in DOORS.values():
        one.set()
    DOORS.clear()


def hang() -> str:
    CALLS["hang"] += 1
    DOOR.wait(100)
    CALLS["returned"] += 1
    return "too late"


async def hang_async() -> None:
    await asyncio.sleep(60)


async def swallow() -> None:
    while not DOOR.is_set():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            CALLS["swallowed"] += 1


def failure_of(problem):
    return f"{problem.step} {problem.kind}: {problem.message}"


@runbook
def plain_step(context: Context) -> str:
    try:
        context.step(hang, timeout=0.2)
    except StepFailed as problem:
        return failure_of(problem)
    return "returned"


@runbook
async def async_steps(context: AsyncContext, which: str) -> str:
    function = {"thread": hang, "coroutine": hang_async, "swallows": swallow}[which]
    try:
        await context.step(function, timeout=0.2)
    except StepFailed as problem:
        return failure_of(problem)
    return "returned"


@runbook
async def blocks(context: AsyncContext) -> None:
    async def block() -> None:
        DOOR.wait(100)

    await context.step(block, timeout=0.1)


@runbook
def uncaught(context: Context) -> None:
    context.step(hang, timeout=0.2)


@runbook
def retried(context: Context) -> str:
    def slow() -> str:
        CALLS["running"] += 1
        SEEN["most"] = max(SEEN.get("most", 0), CALLS["running"])
        time.sleep(1.5 if CALLS["slow"] == 0 else 0)
        CALLS["slow"] += 1
        CALLS["running"] -= 1
        return f"call {CALLS['slow']}"

    return context.step(slow, timeout=1, retries=2)


@runbook
def in_time(context: Context) -> str:
    return context.step(lambda: "done", name="quick", timeout=20)


@runbook(timeout=0.3)
def never_returns(context: Context, step: bool) -> None:
    if step:
        context.step(hang)
    hang()


@runbook(timeout=0.3)
async def never_returns_async(context: AsyncContext) -> None:
    await hang_async()


AHEAD = [0.0]  # seconds by which the clock of executions is ahead


def pass_time(seconds: float) -> None:
    AHEAD[0] += seconds


@runbook(timeout=100)
def asks(context: Context) -> str:
    context.step(pass_time, 40)
    context.prompt("Go on?", go=bool)
    context.step(pass_time, 40, name="again")
    context.prompt("Still?", go=bool)
    context.step(pass_time, 40, name="once more")
    context.step(hang)
    return "done"


@task(timeout=0.3)
def slow_task() -> str:
    return hang()


@task(timeout=0.3)
async def slow_async_task() -> None:
    await hang_async()


@runbook
def calls_task(context: Context) -> str:
    try:
        return context.step(slow_task)
    except StepFailed as problem:
        return failure_of(problem)


@runbook
def looks(context: Context, where: str) -> str:
    def by_context() -> str:
        while not context.cancelled:
            time.sleep(0.01)
        return "seen"

    def by_function() -> str:
        while not cancelled():
            time.sleep(0.01)
        return "seen"

    def look() -> None:
        CALLS["entered"] += 1
        SEEN[where] = (by_context if where == "context" else by_function)()

    context.step(look)
    CALLS["beyond"] += 1
    return "not cancelled"


@runbook
async def looks_async(context: AsyncContext) -> None:
    async def wait() -> None:
        CALLS["entered"] += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            SEEN["coroutine"] = context.cancelled
            raise

    await context.step(wait)


@task
def looking_task() -> None:
    CALLS["entered"] += 1
    while not cancelled():
        time.sleep(0.01)
    SEEN["task"] = True


@runbook
def hangs(context: Context, where: str) -> None:
    def wait() -> None:
        CALLS["entered"] += 1
        DOORS.setdefault(where, threading.Event()).wait(100)

    context.step(wait)


@runbook
def hangs_in_branches(context: Context) -> None:
    context.parallel(*[lambda number=number: context.step(hang, name=f"step {number}") for number in range(3)])


@runbook
async def hangs_async(context: AsyncContext) -> None:
    await asyncio.gather(context.step(hang), context.step(swallow))


@runbook
def quick(context: Context) -> str:
    return context.step(lambda: "done", name="quick")


BOOKS = [
    plain_step,
    async_steps,
    blocks,
    uncaught,
    retried,
    in_time,
    never_returns,
    never_returns_async,
    asks,
    calls_task,
    looks,
    looks_async,
    hangs,
    hangs_in_branches,
    hangs_async,
    quick,
]
TASKS = [slow_task, slow_async_task, looking_task]


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.nightly), "file"])
def api(request, tmp_path):
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'server.db'}"
    with served(*BOOKS, tasks=TASKS, database=url, workers=2, grace=0.5) as client:
        yield client
        DOOR.set()


def cancel(api, session_id):
    assert api.post("/runs/cancel", {"runID": api.runs(session_id)[0]["id"]}).status == 200


def ready(api):
    reply = urllib3.request("GET", api.url.removesuffix("/v0") + "/readyz", retries=False)
    return reply.status, reply.json()


LATE = "Timeout: it did not return within 0.2 seconds"


def test_a_step_that_times_out_fails_and_the_runbook_goes_on(api):
    assert api.finishes("plain_step") == f"hang {LATE}"


@pytest.mark.parametrize(("which", "name"), [("thread", "hang"), ("coroutine", "hang_async"), ("swallows", "swallow")])
def test_a_step_of_an_async_runbook_times_out_the_same_way(api, which, name):
    assert api.finishes("async_steps", {"which": which}) == f"{name} {LATE}"


def test_a_coroutine_that_blocks_its_loop_fails_the_session(api):
    session_id = api.execute("blocks")
    api.reaches(session_id, "Failed")
    error = api.session(session_id)["error"]
    (_, step) = api.runs(session_id)
    assert (error["kind"], error["step"], error["stepRunID"]) == ("Timeout", "block", step["id"])
    assert error["message"] == "it did not return within its timeout and blocks its event loop"
    assert api.finishes("quick") == "done"


def test_a_result_that_comes_too_late_is_not_kept(api):
    session_id = api.execute("plain_step")
    api.reaches(session_id, "Succeeded")
    DOOR.set()
    eventually(lambda: CALLS["returned"])
    step = api.runs(session_id)[1]
    assert step["status"] == "Failed"
    assert api.output(step) == {"error": LATE.removeprefix("Timeout: ")}


def test_an_uncaught_timeout_fails_the_session(api):
    assert api.finishes("uncaught", status="Failed") == {"error": f"step 'hang' failed: {LATE}"}


def test_a_late_attempt_is_not_repeated_while_it_still_runs(api):
    assert api.finishes("retried") == "call 2"
    assert SEEN["most"] == 1


def test_a_step_within_its_timeout_succeeds(api):
    assert api.finishes("in_time") == "done"


@pytest.mark.parametrize("values", [{"step": True}, {"step": False}])
def test_a_runbook_that_never_returns_fails_when_its_time_is_up(api, values):
    assert api.finishes("never_returns", values, "Failed") == {"error": "it ran for more than 0.3 seconds"}
    assert api.finishes("quick") == "done"


def test_an_async_runbook_that_never_returns_fails_as_well(api):
    assert "0.3 seconds" in api.finishes("never_returns_async", status="Failed")["error"]


def test_a_timeout_counts_all_segments_but_no_human_time(api, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + AHEAD[0])
    for module in (execution, watchdog):
        monkeypatch.setattr(module, "time", clock)
    session_id = api.execute("asks")
    first = api.open_prompt(session_id)
    pass_time(200)  # longer than the limit
    assert api.post("/prompts/submit", {"id": first["id"], "values": {"go": True}}).status == 200
    second = eventually(lambda: (now := api.open_prompt(session_id))["id"] != first["id"] and now)
    assert api.post("/prompts/submit", {"id": second["id"], "values": {"go": True}}).status == 200
    api.reaches(session_id, "Failed")
    assert api.output(api.runs(session_id)[0]) == {"error": "it ran for more than 100 seconds"}


@pytest.mark.parametrize("slug", ["slow_task", "slow_async_task"])
def test_a_task_fails_when_its_time_is_up(api, slug):
    run_id = api.post("/tasks/execute", {"slug": slug}).json["runID"]
    eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Failed")
    assert "0.3 seconds" in api.get("/runs/getOutputs", id=run_id).json["output"]["error"]


def test_the_timeout_of_a_task_holds_when_it_is_a_step(api):
    assert api.finishes("calls_task") == "slow_task Timeout: it did not return within 0.3 seconds"


def test_the_api_shows_timeouts_that_were_set_or_its_default(api):
    session_id = api.execute("asks")
    api.open_prompt(session_id)
    assert [run["timeout"] for run in api.runs(session_id)] == [100, 3600, 3600]
    session_id = api.execute("in_time")
    api.reaches(session_id, "Succeeded")
    assert [run["timeout"] for run in api.runs(session_id)] == [3600, 20]


@pytest.mark.parametrize("where", ["context", "function"])
def test_a_plain_step_sees_that_its_session_has_been_cancelled(api, where):
    session_id = api.execute("looks", {"where": where})
    eventually(lambda: CALLS["entered"])
    assert api.session(session_id)["status"] == "Active"
    cancel(api, session_id)
    api.reaches(session_id, "Cancelled")
    assert SEEN[where] == "seen"
    assert not CALLS["beyond"]


def test_a_coroutine_step_is_cancelled_with_its_session(api):
    session_id = api.execute("looks_async")
    eventually(lambda: CALLS["entered"])
    cancel(api, session_id)
    api.reaches(session_id, "Cancelled")
    assert SEEN["coroutine"] is True


def test_a_task_sees_that_its_run_has_been_cancelled(api):
    run_id = api.post("/tasks/execute", {"slug": "looking_task"}).json["runID"]
    eventually(lambda: CALLS["entered"])
    api.post("/runs/cancel", {"runID": run_id})
    eventually(lambda: SEEN.get("task"))


def test_a_step_sees_a_cancellation_by_another_server(api, monkeypatch):
    monkeypatch.setattr("airplane_runbooks.server.execution.runner.Runner.interrupt", lambda runner, run_id: None)
    session_id = api.execute("looks", {"where": "context"})
    eventually(lambda: CALLS["entered"])
    cancel(api, session_id)
    api.reaches(session_id, "Cancelled")
    assert SEEN["context"] == "seen"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(execution, "PATIENCE", 0.2)
    monkeypatch.setattr(watchdog, "POLL", 0.2)


@pytest.mark.parametrize("slug", ["hangs_in_branches", "hangs_async"])
def test_a_cancelled_session_that_never_returns_is_abandoned(api, impatient, slug):
    session_id = api.execute(slug)
    eventually(lambda: CALLS["hang"])
    cancel(api, session_id)
    api.reaches(session_id, "Cancelled")
    assert api.finishes("quick") == "done"


def test_a_server_with_too_many_hanging_steps_is_not_ready(api, impatient):
    def give_up(where):
        ids = [api.execute("hangs", {"where": where}) for _ in range(2)]
        eventually(lambda: CALLS["entered"] == 2)
        for session_id in ids:
            cancel(api, session_id)
        for session_id in ids:
            api.reaches(session_id, "Cancelled")
        CALLS.clear()

    give_up("first")  # as many as there are workers
    assert ready(api) == (200, {"status": "ready"})
    assert api.finishes("quick") == "done"
    give_up("second")
    _, body = eventually(lambda: (answer := ready(api))[0] == 503 and answer)
    assert body["code"] == "no_worker"
    session_id = api.execute("quick")
    DOORS["first"].set()
    eventually(lambda: ready(api)[0] == 200)
    api.reaches(session_id, "Succeeded")


HANGING = """
import asyncio, threading
from airplane_runbooks.server import AsyncContext, Context, RunbookServer, runbook
from tests.support.servers import Client, eventually

@runbook
def branches(context: Context) -> None:
    context.parallel(lambda: context.step(threading.Event().wait))

@runbook
async def coroutine(context: AsyncContext) -> None:
    await context.step(threading.Event().wait)

with RunbookServer([branches, coroutine], grace=0.1) as server:
    client = Client(server)
    for slug in ("branches", "coroutine"):
        session_id = client.execute(slug)
        eventually(lambda: len(client.runs(session_id)) == 2)
    client.close()
"""


def test_threads_that_hang_do_not_keep_a_process_alive():
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", HANGING], cwd=root, timeout=200, check=False).returncode == 0


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
def test_a_timeout_must_be_positive(wrong):
    with pytest.raises(ValueError, match="timeout="):
        runbook(timeout=wrong)(lambda_book)
    with pytest.raises(ValueError, match="timeout="):
        task(timeout=wrong)(quick_task)


@pytest.mark.parametrize("wrong", ["5", True])
def test_a_timeout_must_be_a_number(wrong):
    with pytest.raises(TypeError, match="timeout="):
        runbook(timeout=wrong)(lambda_book)


def lambda_book(context: Context) -> None: ...


def quick_task() -> None: ...
