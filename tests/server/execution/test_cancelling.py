from __future__ import annotations

import threading
from collections import Counter

import pytest

from airplane_runbooks.server import Context, runbook, task
from airplane_runbooks.server.execution.execution import Execution
from airplane_runbooks.server.execution.flusher import Flusher
from airplane_runbooks.server.execution.threads import Workers
from airplane_runbooks.server.execution.watchdog import Watchdog
from airplane_runbooks.server.execution.writes import DeferredWrites
from airplane_runbooks.server.storage.records import Run, RunKind
from tests.support.servers import eventually, served

CALLS = Counter()


class Gate:
    """A step that stays where it is until the test lets it go."""

    def __init__(self):
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self):
        self.entered.set()
        assert self.leave.wait(100)
        return "passed"


GATES = {}


def pass_gate(name):
    return GATES[name]()


@runbook
def gated(context: Context, gate: str) -> None:
    """Stay in the first step, then go on."""
    context.step(pass_gate, gate)
    CALLS["beyond"] += 1
    context.step(CALLS.update, ["second"])


@runbook
def stubborn(context: Context, gate: str) -> str:
    """Try to ignore the cancellation."""
    for _ in range(3):
        try:
            context.step(pass_gate, gate)
        except BaseException:  # noqa: BLE001 - that is the test
            CALLS["caught"] += 1
    return "done anyway"


@runbook
def asks(context: Context) -> None:
    """Ask."""
    context.prompt("Go on?", go=bool)


@runbook
def retries(context: Context) -> None:
    """Fail for a long time."""

    def fail() -> None:
        CALLS["fail"] += 1
        raise ConnectionError

    context.step(fail, retries=100)


@task
def gated_task(gate: str) -> str:
    return GATES[gate]()


@pytest.fixture(scope="module")
def api():
    with served(gated, stubborn, asks, retries, tasks=[gated_task], workers=2) as client:
        yield client


@pytest.fixture
def gate(request):
    CALLS.clear()
    gate = GATES[request.node.name] = Gate()
    gate.name = request.node.name
    yield gate
    gate.leave.set()


def step_of(api, session_id):
    """Return the run of a session's first step, which is recorded soon after the step has begun."""
    return eventually(lambda: len(runs := api.runs(session_id)) > 1 and runs[1])


def cancel(api, run_id):
    return api.post("/runs/cancel", {"runID": run_id})


def test_a_cancelled_session_ends_with_its_step_in_progress(api, gate):
    session_id = api.execute("gated", {"gate": gate.name})
    assert gate.entered.wait(100)
    step = step_of(api, session_id)
    answer = cancel(api, step["id"])
    assert (answer.status, answer.json) == (200, {})
    assert api.session(session_id)["status"] == "Cancelling"
    gate.leave.set()
    api.reaches(session_id, "Cancelled")
    runs = api.runs(session_id)
    assert [run["status"] for run in runs] == ["Cancelled", "Cancelled"]
    assert all(run["cancelledAt"].endswith("Z") and run["cancelledBy"].startswith("usr") for run in runs)
    assert api.output(runs[1]) is None
    assert not CALLS


def test_the_run_of_the_runbook_itself_cancels_the_session(api, gate):
    session_id = api.execute("gated", {"gate": gate.name})
    assert gate.entered.wait(100)
    assert api.post("/runs/cancel", {"id": api.runs(session_id)[0]["id"]}).status == 200
    gate.leave.set()
    api.reaches(session_id, "Cancelled")
    assert not CALLS


def test_a_runbook_cannot_ignore_its_cancellation(api, gate):
    session_id = api.execute("stubborn", {"gate": gate.name})
    assert gate.entered.wait(100)
    cancel(api, step_of(api, session_id)["id"])
    gate.leave.set()
    api.reaches(session_id, "Cancelled")
    assert CALLS["caught"] == 3
    assert len(api.runs(session_id)) == 2


def test_a_waiting_session_is_cancelled_with_its_prompt(api):
    for index in (0, 1):
        session_id = api.execute("asks")
        prompt = api.open_prompt(session_id)
        cancel(api, api.runs(session_id)[index]["id"])
        assert api.session(session_id)["status"] == "Cancelled"
        assert [run["status"] for run in api.runs(session_id)] == ["Cancelled", "Cancelled"]
        assert [run["isWaitingForUser"] for run in api.runs(session_id)] == [False, False]
        cancelled = api.get("/prompts/get", id=prompt["id"]).json["prompt"]
        assert cancelled["cancelledAt"]
        assert cancelled["cancelledBy"].startswith("usr")
        answer = api.post("/prompts/submit", {"id": prompt["id"], "values": {"go": True}})
        assert (answer.status, answer.code) == (409, "prompt_already_answered")


def test_a_session_that_has_not_begun_is_cancelled_at_once(api, gate):
    busy = [api.execute("gated", {"gate": gate.name}) for _ in range(2)]
    for session_id in busy:
        api.reaches(session_id, "Active")
    session_id = api.execute("gated", {"gate": gate.name})
    assert api.session(session_id)["status"] == "Pending"
    (run,) = api.runs(session_id)
    assert run["status"] == "Queued"
    assert run["activeAt"] is None
    cancel(api, run["id"])
    assert api.session(session_id)["status"] == "Cancelled"
    gate.leave.set()
    for one in busy:
        api.reaches(one, "Succeeded")
    assert [run["status"] for run in api.runs(session_id)] == ["Cancelled"]
    assert CALLS["beyond"] == 2


def test_a_cancelled_task_stays_cancelled_when_it_returns(api, gate):
    run_id = api.post("/tasks/execute", {"slug": "gated_task", "paramValues": {"gate": gate.name}}).json["runID"]
    assert gate.entered.wait(100)
    cancel(api, run_id)
    assert api.get("/runs/get", id=run_id).json["status"] == "Cancelled"
    gate.leave.set()
    follower = api.post("/tasks/execute", {"slug": "gated_task", "paramValues": {"gate": gate.name}}).json["runID"]
    eventually(lambda: api.get("/runs/get", id=follower).json["status"] == "Succeeded")
    assert api.get("/runs/get", id=run_id).json["status"] == "Cancelled"
    assert api.get("/runs/getOutputs", id=run_id).json["output"] is None


def test_a_step_between_two_attempts_is_not_tried_again(api, gate):
    session_id = api.execute("retries")
    eventually(lambda: CALLS["fail"] >= 1)
    cancel(api, step_of(api, session_id)["id"])
    api.reaches(session_id, "Cancelled")
    assert CALLS["fail"] <= 3


def test_a_run_that_has_ended_cannot_be_cancelled(api, gate):
    gate.leave.set()
    session_id = api.execute("gated", {"gate": gate.name})
    api.reaches(session_id, "Succeeded")
    for run in api.runs(session_id):
        answer = cancel(api, run["id"])
        assert (answer.status, answer.code) == (409, "run_finished")
        assert answer.headers["X-Airplane-Retryable"] == "false"
    assert api.session(session_id)["status"] == "Succeeded"


def test_a_run_to_cancel_must_be_named_and_exist(api):
    assert api.post("/runs/cancel", {}).status == api.post("/runs/cancel", {"runID": ""}).status == 400
    answer = cancel(api, "nope")
    assert (answer.status, answer.code) == (404, "run_not_found")


def test_a_cancel_ahead_of_its_execution_interrupts_it():
    watchdog, flusher = Watchdog(None, None), Flusher()
    runs = [Run(id=name, kind=RunKind.RUNBOOK, task_id="t", slug="s", name="S", env_slug="prod") for name in "ab"]
    early, other = (Execution(run, Workers(1), DeferredWrites(None, flusher)) for run in runs)
    watchdog.interrupt("a")
    with watchdog.watching(early), watchdog.watching(other):
        assert early.is_interrupted
        assert not other.is_interrupted
    watchdog.close()
