"""The command `logs`: the lines of steps and tasks, at once and as they come."""

from __future__ import annotations

import logging

import pytest

from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, runbook, task
from tests.support.terminals import on_terminal
from tests.support.timing import eventually

note = logging.getLogger("rooms").warning  # pytest keeps for itself what is printed


def count(rooms: int) -> None:
    for number in range(rooms):
        note("room %s", number)
    logging.getLogger("rooms").error("the key\tis worn")


@runbook
def tidy_up(context: Context, rooms: int = 2) -> None:
    context.step(count, rooms)
    context.step(note, "lights off", name="switch off")


@runbook
def tidy_if_told(context: Context) -> None:
    context.step(note, "windows open", name="air")
    context.prompt("Shall I?", really=bool)
    context.step(note, "done", name="sweep")


@task
def ring(times: int) -> None:
    note("ring " * times)
    note("silence")


@pytest.fixture(scope="module")
def server():
    with RunbookServer([tidy_up, tidy_if_told], [ring], capture_logs=True) as one:
        yield one


@pytest.fixture(scope="module")
def airplane(server):
    with Airplane(server.api_key, base_url=server.base_url) as one:
        yield one


def test_the_lines_of_a_session_follow_its_steps(airplane, command):
    session_id = airplane.runbooks.execute_and_wait("tidy_up", wait_timeout=60).id
    ended = command("logs", session_id)

    assert ended.status == 0
    assert ended.out.splitlines() == [
        "count\troom 0",
        "count\troom 1",
        "count\tthe key\\tis worn",
        "switch off\tlights off",
    ]


def test_a_log_is_written_as_json(airplane, command):
    session_id = airplane.runbooks.execute_and_wait("tidy_up", param_values={"rooms": 0}, wait_timeout=60).id
    key, lights = command("logs", session_id, "--json").documents

    assert (key["step"], key["text"], key["severity"], key["stream"]) == ("count", "the key\tis worn", "error", "log")
    assert (lights["step"], lights["text"], lights["severity"]) == ("switch off", "lights off", "warning")
    assert lights["runID"] in {run.id for run in airplane.sessions.runs(session_id)}


def test_a_long_log_is_read_to_its_end(airplane, command):
    session_id = airplane.runbooks.execute_and_wait("tidy_up", param_values={"rooms": 1500}, wait_timeout=60).id
    lines = command("logs", session_id).out.splitlines()

    assert len(lines) == 1502
    assert lines[1499] == "count\troom 1499"


def test_the_log_of_a_task_is_followed_to_its_end(airplane, command):
    run_id = airplane.tasks.execute("ring", {"times": 2}).run_id
    ended = command("logs", "--follow", run_id)

    assert ended.status == 0
    assert ended.out.splitlines() == ["ring ring ", "silence"]
    assert command("logs", run_id).out == ended.out


def test_a_log_is_followed_on_a_terminal_until_the_end(airplane, environment):
    session_id = airplane.runbooks.execute("tidy_if_told").session_id
    with on_terminal("logs", "-f", session_id, env=environment) as screen:
        screen.expect("air  windows open")
        (prompt,) = eventually(lambda: airplane.sessions.prompts(session_id))
        airplane.prompts.submit(prompt.id, {"really": True})
        screen.expect("sweep  done")

        assert screen.ends() == 0
    assert screen.text.count("windows open") == 1


def test_the_log_of_an_unknown_session_is_refused(command):
    assert command("logs", "ses20260101zmissing").status == 6
    assert command("logs", "run20260101zmissing", "--follow").status == 6
