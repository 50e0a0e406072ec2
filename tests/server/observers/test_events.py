from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from airplane_runbooks.models import RunStatus
from airplane_runbooks.server import AsyncContext, Context, RunbookServer, runbook, task
from airplane_runbooks.server.storage.ids import API_USER
from airplane_runbooks.server.storage.sql_store import SqlStore
from tests.support.browsing import Browser
from tests.support.observers import Recorder
from tests.support.servers import Client

BEGUN = ["SessionStarted", "SegmentStarted"]
STEP = ["StepStarted", "AttemptStarted", "AttemptEnded", "StepEnded"]
ASKED = ["PromptOpened", "SegmentEnded"]
ENDED = ["SessionEnded", "SegmentEnded"]

ATTEMPTS = []


def find() -> str:
    return "found"


def fail() -> None:
    raise LookupError("hunter2!")


def fail_once() -> int:
    ATTEMPTS.append(1)
    if len(ATTEMPTS) == 1:
        raise ConnectionError("hunter2!")
    return 1


@runbook
def asks(context: Context) -> str:
    """Take a step, ask, and take another one."""
    context.step(find)
    context.prompt("Go on?", go=bool)
    return context.step(find, name="again")


@runbook
async def asks_async(context: AsyncContext) -> str:
    """Do the same in a coroutine function."""
    await context.step(find)
    await context.prompt("Go on?", go=bool)
    return await context.step(find, name="again")


@runbook
def expires(context: Context) -> None:
    """Ask for a moment."""
    context.prompt("Go on?", go=bool, expires_in=timedelta(milliseconds=300))


@runbook
def fails(context: Context) -> None:
    """Fail in a step."""
    context.step(fail)


@runbook
def retries(context: Context) -> int:
    """Succeed at the second attempt."""
    return context.step(fail_once, retries=1)


@task
def add(left: int) -> int:
    return left + 1


@task
def fail_alone() -> None:
    raise LookupError("hunter2!")


@pytest.fixture
def opened():
    """Start servers that tell a recorder, one after the other."""
    running = []

    def close():
        for server, api in running:
            api.close()
            server.close()
        running.clear()

    def start(*runbooks, **options):
        close()
        recorder = Recorder()
        server = RunbookServer(runbooks, [add, fail_alone], observers=[recorder], **options).start()
        running.append((server, Client(server)))
        return recorder, running[0][1], server

    yield start
    close()


@pytest.mark.parametrize("book", [asks, asks_async], ids=["sync", "async"])
def test_a_session_with_a_prompt_emits_every_event_in_order(opened, book):
    recorder, api, _ = opened(book)
    session_id = api.execute(book.slug)
    recorder.reaches(*BEGUN, *STEP, *ASKED)
    assert api.answer(session_id, go=True).status == 200
    recorder.reaches(*BEGUN, *STEP, *ASKED, "PromptAnswered", "SegmentStarted", *STEP, *ENDED)
    runs = api.runs(session_id)
    assert {event.root.session_id for event in recorder.events} == {session_id}
    assert {(event.root.run_id, event.root.kind, event.root.slug) for event in recorder.events} == {
        (runs[0]["id"], "runbook", book.slug)
    }
    assert [event.at for event in recorder.events] == sorted(event.at for event in recorder.events)
    assert [(event.step, event.run_id) for event in recorder.of("StepEnded")] == [
        ("find", runs[1]["id"]),
        ("again", runs[3]["id"]),
    ]
    assert [event.segment for event in recorder.of("SegmentStarted")] == [1, 2]
    (started,), (answered,), (ended,) = map(recorder.of, ("SessionStarted", "PromptAnswered", "SessionEnded"))
    assert (started.caller, started.environment, answered.caller) == (API_USER, "prod", API_USER)
    assert answered.prompt_id == recorder.of("PromptOpened")[0].prompt_id
    assert (ended.status, ended.error, ended.caller) == (RunStatus.SUCCEEDED, None, None)


def test_an_end_is_told_even_if_the_watchdog_finds_it_first(opened, monkeypatch):
    """It interrupts all executions of runs that have ended, also those that are about to tell of their own end."""
    recorder, api, server = opened(fails)
    real, interrupt = SqlStore.finish, server._lifecycle.services.interrupt

    def finish(store, run_id, outcome, fencing_token):
        interrupt(run_id)
        return real(store, run_id, outcome, fencing_token)

    monkeypatch.setattr(SqlStore, "finish", finish)
    api.execute("fails")
    recorder.reaches(*BEGUN, *STEP, *ENDED)


def test_a_failed_session_names_the_class_of_its_error(opened):
    recorder, api, _ = opened(fails)
    api.finishes("fails", status="Failed")
    recorder.reaches(*BEGUN, *STEP, *ENDED)
    errors = {name: recorder.of(name)[0].error for name in ("AttemptEnded", "StepEnded", "SessionEnded")}
    assert errors == {"AttemptEnded": "LookupError", "StepEnded": "LookupError", "SessionEnded": "LookupError"}
    assert recorder.of("StepEnded")[0].status is RunStatus.FAILED


def test_a_retried_step_emits_each_of_its_attempts(opened):
    ATTEMPTS.clear()
    recorder, api, _ = opened(retries)
    api.finishes("retries")
    attempt = ["AttemptStarted", "AttemptEnded"]
    recorder.reaches(*BEGUN, "StepStarted", *attempt, *attempt, "StepEnded", *ENDED)
    assert [(event.attempt, event.error) for event in recorder.of("AttemptEnded")] == [
        (1, "ConnectionError"),
        (2, None),
    ]


def test_a_cancelled_prompt_names_its_caller(opened):
    recorder, api, _ = opened(asks)
    prompt = api.open_prompt(api.execute("asks"))
    recorder.reaches(*BEGUN, *STEP, *ASKED)
    assert api.post("/prompts/cancel", {"id": prompt["id"]}).status == 200
    recorder.reaches(*BEGUN, *STEP, *ASKED, "PromptCancelled", "SegmentStarted", *ENDED)
    assert recorder.of("PromptCancelled")[0].caller == API_USER
    assert recorder.of("SessionEnded")[0].status is RunStatus.CANCELLED


def test_an_expired_prompt_has_no_caller(opened):
    recorder, api, _ = opened(expires)
    api.execute("expires")
    recorder.reaches(*BEGUN, *ASKED)
    recorder.reaches(*BEGUN, *ASKED, "PromptExpired", "SegmentStarted", *ENDED)
    (opened_, expired) = recorder.of("PromptOpened")[0], recorder.of("PromptExpired")[0]
    assert expired.caller is None
    assert expired.at >= opened_.expires_at


def test_a_cancelled_session_ends_once_and_names_its_caller(opened):
    recorder, api, _ = opened(asks)
    session_id = api.execute("asks")
    recorder.reaches(*BEGUN, *STEP, *ASKED)
    api.reaches(session_id, "Waiting")
    assert api.post("/runs/cancel", {"runID": api.runs(session_id)[0]["id"]}).status == 200
    recorder.reaches(*BEGUN, *STEP, *ASKED, "SessionEnded")
    (ended,) = recorder.of("SessionEnded")
    assert (ended.status, ended.caller) == (RunStatus.CANCELLED, API_USER)


def test_a_session_is_held_and_released_once_each(opened, tmp_path):
    database = f"sqlite:///{tmp_path / 'runbooks.db'}"
    recorder, api, _ = opened(asks, database=database)
    session_id = api.execute("asks")
    recorder.reaches(*BEGUN, *STEP, *ASKED)
    api.reaches(session_id, "Waiting")
    recorder, _, _ = opened(database=database)
    recorder.reaches("SessionHeld")
    assert recorder.events[0].root.session_id == session_id
    recorder, api, _ = opened(asks, database=database)
    recorder.reaches("SessionReleased")
    assert recorder.events[0].root.session_id == session_id
    assert api.answer(session_id, go=True).status == 200
    recorder.reaches("SessionReleased", "PromptAnswered", "SegmentStarted", *STEP, *ENDED)


DYING = '''
import os
import time

from airplane_runbooks.server import Context, runbook


def once() -> int:
    if "DIES" in os.environ:
        time.sleep(60)
    return 1


@runbook
def dies(context: Context) -> int:
    """Take a step."""
    return context.step(once)
'''
DEATH = """
import os
import sys
import time
import dying
from airplane_runbooks import Airplane
from airplane_runbooks.server import RunbookServer
with RunbookServer([dying.dies], database=sys.argv[1]) as server:
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        started = airplane.runbooks.execute(slug="dies")
        while len(list(airplane.sessions.runs(started.session_id))) < 2:
            time.sleep(0.01)
        os._exit(9)
"""


def test_a_resumed_session_emits_only_what_happens_again(opened, tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text(DYING)
    database = f"sqlite:///{tmp_path / 'runbooks.db'}"
    environment = {"DIES": "1", "PYTHONPATH": str(tmp_path)}
    died = subprocess.run([sys.executable, "-c", DEATH, database], env=environment, timeout=60, check=False)
    assert died.returncode == 9
    monkeypatch.syspath_prepend(tmp_path)
    import dying

    recorder, _, _ = opened(dying.dies, database=database)
    recorder.reaches("SegmentStarted", "AttemptStarted", "AttemptEnded", "StepEnded", *ENDED)
    started, attempt = recorder.events[:2]
    assert (started.segment, attempt.attempt) == (1, 2)


def test_a_task_emits_its_only_attempt(opened):
    recorder, api, _ = opened()
    run_id = api.post("/tasks/execute", {"slug": "add", "paramValues": {"left": 1}}).json["runID"]
    recorder.reaches("TaskStarted", "SegmentStarted", "AttemptStarted", "AttemptEnded", "TaskEnded", "SegmentEnded")
    attempt, ended = recorder.of("AttemptEnded")[0], recorder.of("TaskEnded")[0]
    assert (attempt.run_id, attempt.kind, attempt.slug) == (run_id, "task", "add")
    assert (ended.root.session_id, ended.root.run_id, ended.status) == (None, run_id, RunStatus.SUCCEEDED)


def test_a_failed_task_names_the_class_of_its_error(opened):
    recorder, api, _ = opened()
    api.post("/tasks/execute", {"slug": "fail_alone"})
    recorder.reaches("TaskStarted", "SegmentStarted", "AttemptStarted", "AttemptEnded", "TaskEnded", "SegmentEnded")
    assert recorder.of("TaskEnded")[0].error == "LookupError"


def test_users_sign_in_and_out_with_an_event_each(opened):
    recorder, _, server = opened()
    browser = Browser(server.base_url)
    browser.sign_in("tkn_not_right")
    browser.sign_in(server.api_key)
    browser.post("/sign-out", {"token": next(iter(browser.get("/").tokens()))})
    browser.close()
    recorder.reaches("SignInRefused", "SignedIn", "SignedOut")
    refused, signed_in, signed_out = recorder.events
    assert (refused.address, refused.reason) == ("127.0.0.1", "unauthorized")
    assert (signed_in.caller, signed_in.address, signed_out.caller) == (API_USER, "127.0.0.1", API_USER)


def test_a_refused_start_emits_nothing(opened):
    recorder, api, _ = opened(asks)
    assert api.post("/runbooks/execute", {"slug": "nope"}).status == 404
    assert api.post("/tasks/execute", {"slug": "add", "paramValues": {"left": "x"}}).status == 400
    api.execute("asks")
    recorder.reaches(*BEGUN, *STEP, *ASKED)
