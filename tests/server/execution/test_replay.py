from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from datetime import date
from functools import partial

import pytest

from airplane_runbooks.server import Context, StepFailed, runbook, task
from tests.support.servers import eventually, served

CALLS = Counter()
FLAGS = {}


NESTED = (
    "step 'outer' failed: RuntimeError: the context cannot be used inside step 'outer': call it from the runbook itself"
)


def count(name):
    CALLS[name] += 1
    return CALLS[name]


def make(what):
    return what


def explode(message):
    count("explode")
    raise ZeroDivisionError(message)


@task
def shout(text: str) -> str:
    return text.upper()


@runbook
def three_prompts(context: Context) -> list[int]:
    """Do something before, between and after three prompts."""
    done = [context.step(count, "one")]
    for number in range(3):
        context.prompt(f"Prompt {number}?", go=bool)
        done.append(context.step(count, "one"))
    return done


@runbook
def tells_types(context: Context) -> list[str]:
    """Show what steps return, before and after a prompt."""
    first = repr(context.step(make, (1, {"on": date(2022, 2, 3)})))
    context.prompt("Go on?", go=bool)
    FLAGS["second"] = first
    return [first]


@runbook
def forgives(context: Context) -> str:
    """Catch a step's failure, and meet it again on replay."""
    try:
        context.step(explode, "boom")
    except StepFailed as problem:
        context.prompt("It failed. Go on?", go=bool)
        return f"{problem.step} {problem.kind} {problem.message}"
    return "?"


@runbook
def fails_in_step(context: Context) -> None:
    context.step(explode, "boom")


@runbook
def fails_itself(context: Context) -> None:
    """Fail outside of any step."""
    raise LookupError("nowhere")


@runbook
def wavers(context: Context) -> None:
    """Go another way each time."""
    context.step(make, 1, name=f"step-{count('wavers')}")
    context.prompt("Go on?", go=bool)


@runbook
def shrinks(context: Context) -> str:
    """Forget on replay what it did before."""
    if count("shrinks") > 1:
        return "done"
    context.step(make, 1)
    context.prompt("Go on?", go=bool)
    return "?"


@runbook
def swallows(context: Context) -> int:
    """Catch the pause, which it should let through."""
    for attempt in range(2):
        with suppress(BaseException):
            context.prompt("Go on?" if attempt == 0 else "Again?", go=bool)
    return context.step(count, "swallows")


@runbook
def cautious(context: Context) -> None:
    """Catch every exception, as runbooks do."""
    try:
        context.prompt("Go on?", go=bool)
    except Exception:  # noqa: BLE001 - that is the test
        count("caught")


@runbook
def returns(context: Context, what: str) -> object:
    """Return or pass on values that JSON cannot hold."""
    value = {"nan": float("nan"), "object": object(), "set": [{1: float("inf")}], "key": {(1, 2): 1}}[what]
    count(f"returns {what}")
    return context.step(lambda: value, name="make", retries=3)


@runbook
def returns_directly(context: Context) -> object:
    return object()


@runbook
def persists(context: Context, failures: int, retries: int) -> int:
    calls = iter(range(100))

    def flaky() -> int:
        number = next(calls)
        if number < failures:
            raise ConnectionError(f"attempt {number}")
        return number

    return context.step(flaky, retries=retries)


@runbook
def names(context: Context) -> list[str]:
    return [
        context.step(shout, "a"),
        context.step(partial(make, "b"), name="partial"),
        context.step(lambda: "c"),
        context.step(make, what="d", name="by name"),
        context.step(str.upper, "e"),
    ]


@runbook
def opaque(context: Context) -> str:
    """Pass an argument that JSON cannot hold."""
    return context.step(lambda secret, note: note, object(), "kept", name="opaque")


@runbook
def nameless(context: Context) -> None:
    context.step(type("Nameless", (), {"__call__": make})())


@runbook
def nests(context: Context) -> None:
    context.step(lambda: context.step(make, 1), name="outer")


@runbook
def strays(context: Context) -> str:
    """Use the context on another thread."""
    caught = []

    def stray() -> None:
        try:
            context.step(make, 1)
        except RuntimeError as problem:
            caught.append(str(problem))

    thread = threading.Thread(target=stray)
    thread.start()
    thread.join()
    return caught[0]


@runbook
def exits(context: Context) -> None:
    raise SystemExit(3)


@runbook
def exits_in_step(context: Context) -> None:
    context.step(exit_now, name="exit")


def exit_now():
    raise SystemExit(3)


@pytest.fixture(scope="module")
def api():
    with served(
        *(three_prompts, tells_types, forgives, fails_in_step, fails_itself, wavers, shrinks, swallows, cautious),
        *(returns, returns_directly, persists, names, opaque, nameless, nests, strays, exits, exits_in_step),
    ) as client:
        yield client


@pytest.fixture(autouse=True)
def _fresh():
    CALLS.clear()


def test_steps_are_executed_once_over_several_prompts(api):
    session_id = api.execute("three_prompts")
    for _ in range(3):
        api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    runs = api.runs(session_id)
    assert [run["taskSlug"] for run in runs] == ["three_prompts", *["count", "prompt"] * 3, "count"]
    assert [api.output(run) for run in runs if run["taskSlug"] == "count"] == [1, 2, 3, 4]
    assert api.output(runs[0]) == [1, 2, 3, 4]
    assert CALLS["one"] == 4


def test_a_step_returns_the_same_on_the_first_run_and_on_replay(api):
    session_id = api.execute("tells_types")
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) == [FLAGS["second"]] == [repr([1, {"on": "2022-02-03"}])]


def test_a_failed_step_fails_the_same_way_on_replay(api):
    session_id = api.execute("forgives")
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) == "explode ZeroDivisionError boom"
    assert CALLS["explode"] == 1


def test_an_uncaught_failure_of_a_step_fails_the_session(api):
    session_id = api.execute("fails_in_step")
    api.reaches(session_id, "Failed")
    runbook_run, step = api.runs(session_id)
    assert (step["status"], api.output(step)) == ("Failed", {"error": "boom"})
    assert step["failedAt"].endswith("Z")
    assert step["succeededAt"] is None
    assert runbook_run["status"] == "Failed"
    assert api.output(runbook_run) == {"error": "step 'explode' failed: ZeroDivisionError: boom"}


def test_an_exception_of_a_runbook_is_the_output_of_its_run(api):
    assert api.finishes("fails_itself", status="Failed") == {"error": "nowhere"}


def test_a_runbook_that_takes_another_path_on_replay_fails(api):
    session_id = api.execute("wavers")
    api.answer(session_id, go=True)
    api.reaches(session_id, "Failed")
    error = api.output(api.runs(session_id)[0])["error"]
    assert error.startswith("the runbook did not repeat its recorded steps")
    assert error.endswith("at position 1 it had step 'step-1' and now has step 'step-2'")


def test_a_runbook_that_ends_before_a_recorded_step_fails(api):
    session_id = api.execute("shrinks")
    api.answer(session_id, go=True)
    api.reaches(session_id, "Failed")
    assert api.output(api.runs(session_id)[0]) == {
        "error": "the runbook did not repeat its recorded steps: it ended before 'make'"
    }


def test_a_runbook_cannot_swallow_its_pause(api):
    session_id = api.execute("swallows")
    api.answer(session_id, go=True)
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    assert CALLS["swallows"] == 1


def test_catching_every_exception_does_not_catch_the_pause(api):
    session_id = api.execute("cautious")
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    assert CALLS["caught"] == 0


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("nan", "NaN and infinities have no form in JSON"),
        ("set", "NaN and infinities have no form in JSON"),
        ("object", "Encoding objects of type object is unsupported"),
    ],
)
def test_a_step_whose_result_is_not_json_fails_without_a_retry(api, what, problem):
    session_id = api.execute("returns", {"what": what})
    api.reaches(session_id, "Failed")
    assert api.output(api.runs(session_id)[1]) == {"error": f"the result cannot be written as JSON: {problem}"}
    assert CALLS[f"returns {what}"] == 1


def test_a_runbook_whose_result_is_not_json_fails_clearly(api):
    assert api.finishes("returns", {"what": "key"}, "Failed")["error"].startswith("step 'make' failed: TypeError:")
    assert "cannot be written as JSON" in api.finishes("returns_directly", status="Failed")["error"]


def test_a_failing_step_is_called_again_as_often_as_it_may(api):
    assert api.finishes("persists", {"failures": 2, "retries": 2}) == 2
    session_id = api.execute("persists", {"failures": 2, "retries": 1})
    api.reaches(session_id, "Failed")
    assert api.output(api.runs(session_id)[1]) == {"error": "attempt 1"}


def test_every_kind_of_callable_can_be_a_step(api):
    session_id = api.execute("names")
    api.reaches(session_id, "Succeeded")
    runbook_run, *steps = api.runs(session_id)
    assert api.output(runbook_run) == ["A", "b", "c", "d", "E"]
    assert [step["taskName"] for step in steps] == ["shout", "partial", "<lambda>", "by name", "upper"]
    assert steps[0]["taskID"] == shout.id
    assert [step["paramValues"] for step in steps[:4]] == [{"text": "a"}, {"what": "b"}, {}, {"what": "d"}]


def test_arguments_that_are_not_json_are_left_out_of_the_run(api):
    session_id = api.execute("opaque")
    api.reaches(session_id, "Succeeded")
    assert api.runs(session_id)[1]["paramValues"] == {"note": "kept"}


@pytest.mark.parametrize(
    ("slug", "message"),
    [
        ("nameless", "pass name= to this step: an object of type Nameless has no name"),
        ("nests", NESTED),
        ("exits", "3"),
        ("exits_in_step", "step 'exit' failed: SystemExit: 3"),
    ],
)
def test_misuse_of_a_context_fails_the_session_alone(api, slug, message):
    assert api.finishes(slug, status="Failed") == {"error": message}
    assert "on another thread: use context.parallel" in api.finishes("strays")


def test_sessions_that_wait_hold_no_threads(api):
    started = [api.execute("three_prompts") for _ in range(60)]
    for session_id in started:
        api.reaches(session_id, "Waiting")
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("runbook-") and thread.daemon]
    assert len(workers) <= 16
    assert eventually(lambda: api.finishes("persists", {"failures": 0, "retries": 0}) == 0)
