"""Sessions show their result, or the reason for which they have none."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import pytest

from airplane_runbooks import models
from airplane_runbooks.server import AsyncContext, Context, Field, RunbookServer, StepFailed, runbook
from airplane_runbooks.server.execution import attempts
from airplane_runbooks.server.storage.records import Failure, Run, RunKind
from airplane_runbooks.server.storage.rows import LONGEST_LISTED
from tests.support.servers import eventually, served, started

GENERATED = "speakeasy-sdk/go 3.2.3 2.291.0 0.0.1 github.com/speakeasy-sdks/airplane-go-sdk"
Secret = Annotated[str, Field(secret=True)]


class OutOfStock(Exception):
    pass


def refuse(item: str) -> None:
    raise OutOfStock(f"no {item} left")


@runbook
def gives(context: Context, size: int = 0) -> object:
    """Return something."""
    return {"size": "x" * size} if size else None


@runbook
def orders(context: Context, item: Secret) -> None:
    """Fail in a step."""
    context.step(len, [], name="count")
    context.step(refuse, item, name=f"order {item}")


@runbook
def orders_again(context: Context, item: Secret, last: int) -> str:
    """Order until it is there, and say which attempt succeeded."""
    numbers = iter(range(1, 100))

    def order() -> int:
        number = next(numbers)
        if number < last:
            raise OutOfStock(f"no {item} left for attempt {number}" + "!" * 2000)
        return number

    return context.step(order, retries=2)


@runbook
def orders_after_a_pause(context: Context) -> None:
    """Fail in a step, and after a pause by the record of it."""
    try:
        context.step(refuse, "tea")
    except StepFailed:
        context.prompt("It failed. Go on?", go=bool)
        raise


@runbook
async def orders_many(context: AsyncContext) -> None:
    """Fail in the second of two steps side by side."""
    async with asyncio.TaskGroup() as group:
        group.create_task(context.step(len, [], name="count"))
        group.create_task(context.step(refuse, "milk"))


class Shy(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> tuple[Exception, ...]:
        raise OutOfStock("not here")


@runbook
def orders_in_groups(context: Context) -> None:
    """Fail in two steps, and raise both failures in a group that hides them."""
    failures: list[Exception] = [LookupError("nowhere")]
    for item in ("tea", "milk"):
        try:
            context.step(refuse, item)
        except StepFailed as problem:
            failures.append(problem)
    raise Shy("outer", [ExceptionGroup("inner", failures)])


@runbook
def gives_up(context: Context, item: Secret) -> None:
    """Raise an exception of its own."""
    raise OutOfStock(f"never had {item}")


@runbook
def translates(context: Context) -> None:
    """Raise an exception of its own after a step has failed."""
    try:
        context.step(refuse, "tea")
    except StepFailed as problem:
        raise LookupError("nothing to drink") from problem


@runbook
def forges(context: Context) -> None:
    """Raise what only the server should raise."""
    forged = StepFailed("a", "b", "c", "run1")
    forged.step = 3
    raise forged


STOPPING: list[RunbookServer] = []


def stop_once() -> str:
    if STOPPING:
        STOPPING.pop()._lifecycle.stop()
        raise OutOfStock("not yet")
    return "done"


@runbook
def stops_once(context: Context) -> str:
    """Fail while the server is stopping, and then no more."""
    return context.step(stop_once, retries=1)


@runbook
def asks(context: Context) -> None:
    """Wait for a human."""
    context.prompt("Go on?", go=bool)


ALL = (
    orders_in_groups,
    gives,
    orders,
    orders_again,
    orders_after_a_pause,
    orders_many,
    gives_up,
    translates,
    forges,
    asks,
)


@pytest.fixture(scope="module")
def api():
    with served(*ALL) as client:
        yield client


def ended(api, slug, values=None, status="Failed"):
    """Execute a runbook to its end and return its session."""
    session_id = api.execute(slug, values)
    api.reaches(session_id, status)
    return api.session(session_id)


def test_a_session_shows_its_result_and_its_root_run(api):
    session = ended(api, "gives", {"size": 3}, "Succeeded")
    assert (session["output"], session["error"]) == ({"size": "xxx"}, None)
    assert api.get("/runs/getOutputs", id=session["runID"]).json["output"] == {"size": "xxx"}


def test_a_null_result_is_shown_as_null(api):
    session = ended(api, "gives", status="Succeeded")
    assert session["output"] is None


def test_a_result_too_long_for_lists_is_left_to_the_root_run(api):
    fits = LONGEST_LISTED - len('{"size":""}')
    assert ended(api, "gives", {"size": fits}, "Succeeded")["output"] == {"size": "x" * fits}
    session = ended(api, "gives", {"size": fits + 1}, "Succeeded")
    assert "output" not in session
    assert api.get("/runs/getOutputs", id=session["runID"]).json["output"] == {"size": "x" * (fits + 1)}


def test_a_waiting_session_has_no_result_and_no_reason(api):
    session_id = api.execute("asks")
    api.reaches(session_id, "Waiting")
    session = api.session(session_id)
    assert (session["output"], session["error"]) == (None, None)


def test_a_failed_session_names_the_step_that_failed(api):
    session = ended(api, "orders", {"item": "gunpowder tea"})
    step = api.runs(session["id"])[-1]
    assert step["status"] == "Failed"
    assert session["output"] is None
    assert session["error"] == {
        "kind": "OutOfStock",
        "message": f"no {session['paramValues']['item']} left",
        "step": step["taskName"],
        "stepRunID": step["id"],
    }
    assert "gunpowder" not in str(session)
    output = api.get("/runs/getOutputs", id=session["runID"]).json["output"]
    assert output == {"error": f"step {step['taskName']!r} failed: OutOfStock: {session['error']['message']}"}


@pytest.mark.parametrize(("last", "status", "earlier"), [(1, "Succeeded", 0), (2, "Succeeded", 1), (9, "Failed", 2)])
def test_a_step_keeps_the_failures_of_its_earlier_attempts(api, last, status, earlier):
    session = ended(api, "orders_again", {"item": "gunpowder tea", "last": last}, status)
    shown = session["paramValues"]["item"]
    step = api.get("/runs/get", id=api.runs(session["id"])[-1]["id"]).json
    assert (step["attempt"], len(step["earlierFailures"])) == (earlier + 1, earlier)
    for number, failure in enumerate(step["earlierFailures"], start=1):
        text = f"no {shown} left for attempt {number}" + "!" * 2000
        assert failure == {"attempt": number, "kind": "OutOfStock", "message": text[:1000]}
    if status == "Failed":
        assert step["error"]["kind"] == "OutOfStock"
        assert step["error"]["message"].startswith(f"no {shown} left for attempt 3")
    else:
        assert step["error"] is None


def test_a_run_keeps_its_latest_failures():
    run = Run(id="x", kind=RunKind.STEP, task_id="t", slug="s", name="n", env_slug="prod")
    for attempt in range(1, 31):
        run = msgspec.structs.replace(run, attempt=attempt).with_earlier(Failure("KeyError", str(attempt)))
    assert [failure.attempt for failure in run.earlier_failures] == list(range(11, 31))


def test_a_step_left_to_the_next_start_keeps_its_failures(tmp_path):
    options = {"database": f"sqlite:///{tmp_path / 'runbooks.db'}"}
    with started(stops_once, **options) as (server, api):
        STOPPING.append(server)
        session_id = api.execute("stops_once")
        eventually(lambda: not STOPPING)
    with served(stops_once, **options) as api:
        api.reaches(session_id, "Succeeded")
        (step,) = [run for run in api.runs(session_id) if run["taskName"] == "stop_once"]
    assert step["attempt"] == 2
    assert step["earlierFailures"] == [{"attempt": 1, "kind": "OutOfStock", "message": "not yet"}]


def test_a_failure_is_recorded_before_the_next_attempt(monkeypatch):
    monkeypatch.setattr(attempts, "_FIRST_DELAY", 3600)  # a server may be killed meanwhile
    with served(orders_again) as api:
        session_id = api.execute("orders_again", {"item": "gunpowder tea", "last": 2})
        (step,) = eventually(lambda: [run for run in api.runs(session_id) if run["earlierFailures"]])
        assert (step["status"], step["attempt"]) == ("Active", 1)
        assert [(one["attempt"], one["kind"]) for one in step["earlierFailures"]] == [(1, "OutOfStock")]


def test_a_step_that_failed_before_a_pause_is_named_too(api):
    session_id = api.execute("orders_after_a_pause")
    api.answer(session_id, go=True)
    api.reaches(session_id, "Failed")
    session = api.session(session_id)
    failed = next(run for run in api.runs(session_id) if run["taskName"] == "refuse")
    assert session["error"] == {
        "kind": "OutOfStock",
        "message": "no tea left",
        "step": "refuse",
        "stepRunID": failed["id"],
    }


def test_the_step_that_failed_in_a_task_group_is_named(api):
    error = ended(api, "orders_many")["error"]
    assert (error["kind"], error["message"], error["step"]) == ("OutOfStock", "no milk left", "refuse")


def test_the_first_step_that_failed_in_a_group_is_named(api):
    error = ended(api, "orders_in_groups")["error"]
    assert (error["kind"], error["message"], error["step"]) == ("OutOfStock", "no tea left", "refuse")


def test_an_exception_of_the_runbook_keeps_its_kind(api):
    session = ended(api, "gives_up", {"item": "gunpowder tea"})
    shown = session["paramValues"]["item"]
    assert session["error"] == {
        "kind": "OutOfStock",
        "message": f"never had {shown}",
        "step": None,
        "stepRunID": None,
    }
    assert ended(api, "translates")["error"] == {
        "kind": "LookupError",
        "message": "nothing to drink",
        "step": None,
        "stepRunID": None,
    }


def test_a_step_failure_of_the_runbooks_own_making_names_no_step(api):
    error = ended(api, "forges")["error"]
    assert (error["kind"], error["step"]) == ("StepFailed", None)


def test_a_session_cancelled_by_a_reviewer_says_so(api):
    session_id = api.execute("asks")
    api.post("/prompts/cancel", {"id": api.open_prompt(session_id)["id"]})
    api.reaches(session_id, "Cancelled")
    error = api.session(session_id)["error"]
    assert (error["kind"], error["message"]) == ("PromptCancelled", "the prompt 'Go on?' was cancelled")


def test_a_session_cancelled_by_a_caller_has_no_error(api):
    session_id = api.execute("asks")
    api.post("/runs/cancel", {"runID": api.session(session_id)["runID"]})
    api.reaches(session_id, "Cancelled")
    session = api.session(session_id)
    assert (session["output"], session["error"]) == (None, None)


def test_the_etag_of_a_session_changes_when_its_result_comes(api):
    session_id = api.execute("asks")
    api.reaches(session_id, "Waiting")
    waiting = api.get("/sessions/get", id=session_id)
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    done = api.get("/sessions/get", id=session_id)
    assert waiting.headers["ETag"] != done.headers["ETag"]


def test_lists_of_sessions_show_neither_results_nor_errors(api):
    session = ended(api, "gives", {"size": 3}, "Succeeded")
    listed = api.get("/sessions/list").json["sessions"]
    (one,) = [one for one in listed if one["id"] == session["id"]]
    assert not {"output", "error", "runID"} & one.keys()
    assert one["held"] is None


def test_the_generated_client_gets_a_result_as_strings(api):
    session = ended(api, "gives", {"size": 3}, "Succeeded")
    as_go = api.send("GET", "/sessions/get", fields={"id": session["id"]}, headers={"User-Agent": GENERATED})
    assert as_go.json["output"] == {"size": "xxx"}
    null = ended(api, "gives", status="Succeeded")
    as_go = api.send("GET", "/sessions/get", fields={"id": null["id"]}, headers={"User-Agent": GENERATED})
    assert as_go.json["output"] == {"output": "null"}


def test_clients_know_every_kind_of_run():
    assert [kind.value for kind in models.RunKind] == [kind.value for kind in RunKind]
