"""Sessions show their result, or the reason for which they have none."""

from __future__ import annotations

import asyncio
from typing import Annotated

import pytest

from airplane_runbooks.server import AsyncContext, Context, Field, StepFailed, runbook
from airplane_runbooks.server.storage.rows import LONGEST_LISTED
from tests.support.servers import served

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


@runbook
def asks(context: Context) -> None:
    """Wait for a human."""
    context.prompt("Go on?", go=bool)


ALL = (gives, orders, orders_after_a_pause, orders_many, gives_up, translates, forges, asks)


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


def test_lists_of_sessions_show_neither_results_nor_reasons(api):
    session = ended(api, "gives", {"size": 3}, "Succeeded")
    listed = api.get("/sessions/list").json["sessions"]
    (one,) = [one for one in listed if one["id"] == session["id"]]
    assert not {"output", "error", "runID", "held"} & one.keys()


def test_the_generated_client_gets_a_result_as_strings(api):
    session = ended(api, "gives", {"size": 3}, "Succeeded")
    as_go = api.send("GET", "/sessions/get", fields={"id": session["id"]}, headers={"User-Agent": GENERATED})
    assert as_go.json["output"] == {"size": "xxx"}
    null = ended(api, "gives", status="Succeeded")
    as_go = api.send("GET", "/sessions/get", fields={"id": null["id"]}, headers={"User-Agent": GENERATED})
    assert as_go.json["output"] == {"output": "null"}
