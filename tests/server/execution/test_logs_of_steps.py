# ruff: noqa: T201 - what is printed is what is tested
"""Logs of steps and tasks, from what their functions write to what the API shows."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import pytest

from airplane_runbooks.server import AsyncContext, Context, Field, StepFailed, runbook, task
from airplane_runbooks.server.execution import step_logs
from airplane_runbooks.server.service import logs as service
from tests.support.servers import eventually, served

logger = logging.getLogger("tests.logs")
DOOR = threading.Event()  # steps hang until it is set
CALLS = []


@pytest.fixture(autouse=True)
def door():
    DOOR.clear()
    CALLS.clear()
    yield DOOR
    DOOR.set()


def say(text: str) -> None:
    print(text)


def say_nothing() -> None:
    """Write nothing."""


@runbook
def speak(context: Context, text: str) -> None:
    print("not in a step")
    context.step(say, text)
    context.step(say_nothing)
    context.step(say, f"{text} again")


@runbook
def unlock(context: Context, token: Annotated[str, Field(secret=True)]) -> None:
    context.step(say, f"it is {token}")


def fail_twice() -> None:
    CALLS.append(1)
    print("attempt", len(CALLS))
    logger.error("it fails")
    if len(CALLS) < 3:
        raise RuntimeError("not yet")


@runbook
def insist(context: Context) -> None:
    context.step(fail_twice, retries=2)


def fail() -> None:
    print("before", end="")
    raise RuntimeError("no")


@runbook
def give_up(context: Context) -> str:
    try:
        context.step(fail)
    except StepFailed:
        return "failed"
    return "succeeded"


def hang(text: str) -> None:
    print(text)
    DOOR.wait(100)
    print("late")


@runbook
def linger(context: Context) -> None:
    context.step(hang, "begun")


@runbook
def abandon(context: Context) -> None:
    context.step(hang, "first", timeout=0.2)


@runbook
def side_by_side(context: Context) -> None:
    context.parallel(*(lambda number=number: context.step(say_often, number) for number in range(3)))


def say_often(number: int) -> None:
    for _ in range(20):
        print(number)


async def say_async(number: int) -> None:
    for _ in range(5):
        print(number)
        await asyncio.sleep(0)
    await asyncio.to_thread(print, number)


@runbook
async def together(context: AsyncContext) -> None:
    await asyncio.gather(*(context.step(say_async, number) for number in range(3)), context.step(say, "plain"))


@task
def work(count: int) -> int:
    for number in range(count):
        print("line", number)
    return count


def lines(api, run_id, **query):
    """Return all lines of a log, page by page."""
    found, token = [], ""
    while True:
        reply = api.get("/runs/getLogs", runID=run_id, **query, **({"prev_token": token} if token else {})).json
        found += reply["logs"]
        token = reply["prev_token"]
        if not reply["next_token"]:
            return found


def texts(api, run_id):
    return [line["text"] for line in lines(api, run_id)]


def logs_of(api, slug, values=None, status="Succeeded"):
    """Execute a runbook, and return the texts of its steps' logs."""
    session_id = api.execute(slug, values)
    api.reaches(session_id, status)
    return [texts(api, run["id"]) for run in api.runs(session_id)[1:]]


@pytest.mark.parametrize("url", ["sqlite://", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_a_step_prints_is_kept_with_it(request, url):
    url = request.getfixturevalue("postgres_url") if url == "postgres" else url
    with served(speak, capture_logs=True, database=url) as api:
        session_id = api.execute("speak", {"text": "one\ntwo \0 \U0001f600"})
        api.reaches(session_id, "Succeeded")
        root, *steps = api.runs(session_id)
        first, nothing, last = (lines(api, step["id"]) for step in steps)
        assert [line["text"] for line in first] == ["one", "two  \U0001f600"]
        assert [line["text"] for line in last] == ["one", "two  \U0001f600 again"]
        assert (nothing, texts(api, root["id"])) == ([], [])
        shown = {name: first[0][name] for name in ("level", "taskSlug", "severity", "stream", "attempt")}
        assert shown == {"level": "info", "taskSlug": "say", "severity": "info", "stream": "stdout", "attempt": 1}
        assert first[0]["timestamp"].endswith("Z")
        assert len({line["insertID"] for line in first}) == 2


def test_nothing_is_kept_unless_it_is_asked_for():
    streams = sys.stdout, sys.stderr
    with served(speak) as api:
        assert (sys.stdout, sys.stderr) == streams
        assert logs_of(api, "speak", {"text": "one"}) == [[], [], []]


def test_a_closed_server_leaves_no_trace():
    streams, handling = (sys.stdout, sys.stderr), logging.Logger.callHandlers
    with served(speak, capture_logs=True), served(speak, capture_logs=True) as api:
        assert sys.stdout is not streams[0]
        assert logs_of(api, "speak", {"text": "one"}) == [["one"], [], ["one again"]]
    assert (sys.stdout, sys.stderr) == streams
    assert logging.Logger.callHandlers is handling


def test_secrets_of_a_session_are_masked_in_its_logs():
    from cryptography.fernet import Fernet

    with served(unlock, capture_logs=True, encryption_key=Fernet.generate_key().decode()) as api:
        ((text,),) = logs_of(api, "unlock", {"token": "correct horse battery"})
        assert "horse" not in text
        assert text.startswith("it is ")


def test_each_attempt_has_lines_of_its_own():
    with served(insist, capture_logs=True) as api:
        session_id = api.execute("insist")
        api.reaches(session_id, "Succeeded")
        found = lines(api, api.runs(session_id)[1]["id"])
    shown = [(line["attempt"], line["stream"], line["severity"], line["text"]) for line in found]
    place = f"  {__file__}:{fail_twice.__code__.co_firstlineno + 5} in fail_twice"
    assert shown == [
        shown
        for attempt in (1, 2, 3)
        for shown in (
            (attempt, "stdout", "info", f"attempt {attempt}"),
            (attempt, "log", "error", "it fails"),
            *[(attempt, "log", "error", text) for text in ("RuntimeError", place) if attempt < 3],
        )
    ]


def test_a_step_that_fails_keeps_its_log():
    with served(give_up, capture_logs=True) as api:
        ((before, kind, *frames),) = logs_of(api, "give_up")
    assert (before, kind) == ("before", "RuntimeError")
    assert frames == [f"  {__file__}:{fail.__code__.co_firstlineno + 2} in fail"]


def test_a_log_is_shown_while_its_step_runs(tmp_path):
    with served(linger, capture_logs=True, database=f"sqlite:///{tmp_path / 'runbooks.db'}") as api:
        session_id = api.execute("linger")
        step = eventually(lambda: api.runs(session_id)[1:])[0]
        (first,) = eventually(lambda: lines(api, step["id"]))
        assert api.session(session_id)["status"] == "Active"
        DOOR.set()
        api.reaches(session_id, "Succeeded")
        later = api.get("/runs/getLogs", runID=step["id"], prev_token=first["insertID"]).json
        assert (first["text"], [line["text"] for line in later["logs"]]) == ("begun", ["late"])


def test_a_cancelled_step_keeps_its_log():
    with served(linger, capture_logs=True) as api:
        session_id = api.execute("linger")
        step = eventually(lambda: api.runs(session_id)[1:])[0]
        eventually(lambda: lines(api, step["id"]))
        api.post("/runs/cancel", {"id": step["id"]})
        DOOR.set()
        api.reaches(session_id, "Cancelled")
        assert eventually(lambda: len(found := texts(api, step["id"])) == 2 and found) == ["begun", "late"]


def test_what_an_abandoned_attempt_writes_is_not_kept():
    with served(abandon, capture_logs=True) as api:
        session_id = api.execute("abandon")
        api.reaches(session_id, "Failed")
        DOOR.set()
        assert texts(api, api.runs(session_id)[1]["id"]) == ["first"]


def test_steps_on_threads_keep_their_lines_apart():
    with served(side_by_side, capture_logs=True) as api:
        assert sorted(logs_of(api, "side_by_side")) == [[str(number)] * 20 for number in range(3)]


def test_steps_of_one_event_loop_keep_their_lines_apart():
    with served(together, capture_logs=True) as api:
        assert sorted(logs_of(api, "together")) == [["0"] * 6, ["1"] * 6, ["2"] * 6, ["plain"]]


def test_a_task_has_a_log():
    with served(tasks=[work], capture_logs=True) as api:
        run_id = api.post("/tasks/execute", {"slug": "work", "paramValues": {"count": 3}}).json["runID"]
        eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")
        assert texts(api, run_id) == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize(("name", "value"), [("_MOST_LINES", 7), ("_MOST_BYTES", 500), ("_MOST_CHUNKS", 2)])
def test_a_long_log_comes_in_pages(monkeypatch, name, value):
    monkeypatch.setattr(service, name, value)
    monkeypatch.setattr("airplane_runbooks.server.storage.log_lines.LARGEST_CHUNK", 1_000)
    with served(tasks=[work], capture_logs=True) as api:
        run_id = api.post("/tasks/execute", {"slug": "work", "paramValues": {"count": 50}}).json["runID"]
        eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")
        assert len(api.get("/runs/getLogs", runID=run_id).json["logs"]) < 50
        assert texts(api, run_id) == [f"line {number}" for number in range(50)]


def test_details_are_shown_to_those_who_ask_for_them(monkeypatch):
    monkeypatch.setattr(logger, "level", logging.DEBUG)

    @task
    def chatter() -> None:
        logger.debug("a detail")
        logger.info("a fact")

    with served(tasks=[chatter], capture_logs=True) as api:
        run_id = api.post("/tasks/execute", {"slug": "chatter"}).json["runID"]
        eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Succeeded")
        assert texts(api, run_id) == ["a fact"]
        shown = [(line["level"], line["text"]) for line in lines(api, run_id, level="debug")]
        assert shown == [("debug", "a detail"), ("info", "a fact")]


def test_a_log_of_nothing_and_a_wrong_token_are_refused():
    with served(tasks=[work], capture_logs=True) as api:
        assert api.get("/runs/getLogs", runID="run1").code == "run_not_found"
        run_id = api.post("/tasks/execute", {"slug": "work", "paramValues": {"count": 0}}).json["runID"]
        answer = api.get("/runs/getLogs", runID=run_id, prev_token="1.x")
        assert (answer.status, answer.code) == (400, "invalid_query")
        assert "prev_token" in answer.error


def test_many_steps_at_a_time_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(step_logs, "MOST_LINES", 100_000)
    url = f"sqlite:///{tmp_path / 'runbooks.db'}"
    with served(tasks=[work], capture_logs=True, database=url) as api, ThreadPoolExecutor(4) as threads:

        def run_task(count):
            return api.post("/tasks/execute", {"slug": "work", "paramValues": {"count": count}}).json["runID"]

        run_ids = list(threads.map(run_task, [300] * 8))
        eventually(lambda: {api.get("/runs/get", id=one).json["status"] for one in run_ids} == {"Succeeded"})
        assert {len(texts(api, run_id)) for run_id in run_ids} == {300}


PROGRAM = """
import os, subprocess, sys, threading, warnings
from airplane_runbooks.server import Context, RunbookServer, runbook

def noisy():
    warnings.warn("odd", stacklevel=1)
    print("parent")
    thread = threading.Thread(target=print, args=("thread",))
    thread.start()
    thread.join()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        print("child", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    os.write(1, b"descriptor\\n")

@runbook
def noise(context: Context) -> None:
    context.step(noisy)

if __name__ == "__main__":
    from airplane_runbooks import Airplane
    with RunbookServer([noise], capture_logs=True) as server:
        with Airplane(server.api_key, base_url=server.base_url) as airplane:
            session = airplane.sessions.wait(airplane.runbooks.execute("noise").session_id, wait_timeout=100)
            step = airplane.sessions.steps(session.id)[0]
            store = server._lifecycle.services.store
            kept = [line.text for chunk in store.log_chunks(step.run_id, 0, 9) for line in chunk.lines]
    sys.stderr.write("KEPT " + " | ".join(kept))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_program_shows_all_and_keeps_what_is_the_steps(tmp_path):
    path = Path(tmp_path / "program.py")
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stdout.split() == ["parent", "thread", "child", "descriptor"]
    shown, _, kept = done.stderr.partition("KEPT ")
    assert "UserWarning: odd" in shown
    first, _, text = kept.split(" | ")
    assert first.endswith("UserWarning: odd")
    assert text == "parent"
