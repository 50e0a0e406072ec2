"""Two servers on one PostgreSQL that do not have the same code, as while a deployment rolls."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.support.chaos import free_port
from tests.support.servers import Client, eventually

pytestmark = [pytest.mark.postgres, pytest.mark.once]

KEY = "tkn_rolling_4c1f0a7be2"
PROGRAM = """
import sys, time
from airplane_runbooks.server import Context, cancelled, runbook, serve

def step():
    return 1

@runbook
def book(context: Context) -> str:
    context.step(step)
    context.prompt("Go on?", go=bool)
    return "CODE"

def look():
    while not cancelled():
        time.sleep(0.02)

@runbook
def patient(context: Context) -> None:
    context.step(look)

@runbook
def deaf(context: Context) -> None:
    context.step(time.sleep, 1000)

serve([book, patient, deaf], grace=1, database=sys.argv[1], port=int(sys.argv[2]), api_key="KEY")
"""


@pytest.fixture
def start(tmp_path, postgres_url):
    """Start a server with some code, in a process of its own, and return a client of it."""
    started = []

    def make(code):
        program = tmp_path / f"{code}.py"
        program.write_text(PROGRAM.replace("CODE", code).replace("KEY", KEY))
        port = free_port()
        process = subprocess.Popen([sys.executable, str(program), postgres_url, str(port)], stderr=subprocess.PIPE)
        started.append(process)
        assert any(b"Serving" in line for line in process.stderr)  # after what it says of sessions
        client = Client(SimpleNamespace(base_url=f"http://127.0.0.1:{port}/v0", api_key=KEY))
        client.process = process
        return client

    yield make
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def stop(client):
    client.process.terminate()
    client.process.wait(100)
    client.close()


def submit(api, prompt_id):
    return api.post("/prompts/submit", {"id": prompt_id, "values": {"go": True}})


def result(api, session_id):
    status = eventually(lambda: (now := api.session(session_id)["status"]) in {"Succeeded", "Failed"} and now)
    return status, api.output(api.runs(session_id)[0])


def test_sessions_go_to_servers_with_their_code_or_are_held(start):
    old = start("old")
    ids = [old.execute("book") for _ in range(6)]
    prompts = {session_id: old.open_prompt(session_id)["id"] for session_id in ids}
    new = start("new")
    ids += (young := [new.execute("book") for _ in range(3)])
    prompts |= {session_id: new.open_prompt(session_id)["id"] for session_id in young}
    assert [new.session(session_id)["held"] for session_id in ids] == [None] * len(ids)
    for session_id in (*ids[:4], *young[:2]):  # whichever server is told
        assert submit(new, prompts[session_id]).status == 200
    assert [result(new, session_id) for session_id in ids[:4]] == [("Succeeded", "old")] * 4
    assert [result(old, session_id) for session_id in young[:2]] == [("Succeeded", "new")] * 2

    stop(old)
    held, other = ids[4:6]
    eventually(lambda: new.session(held)["held"])
    answer = submit(new, prompts[held])
    assert (answer.status, answer.code) == (423, "code_changed")
    assert new.session(held)["status"] == "Waiting"
    assert submit(new, prompts[young[2]]).status == 200
    assert result(new, young[2]) == ("Succeeded", "new")

    back = start("old")
    eventually(lambda: new.session(held)["held"] is None)
    for session_id in (held, other):
        assert submit(new, prompts[session_id]).status == 200
    assert [result(new, session_id) for session_id in (held, other)] == [("Succeeded", "old")] * 2
    stop(back)
    stop(new)


def test_a_step_sees_a_cancel_that_another_server_has_taken(start):
    first = start("one")
    ids = {slug: first.execute(slug) for slug in ("patient", "deaf")}
    for session_id in ids.values():
        eventually(lambda session_id=session_id: len(first.runs(session_id)) == 2)
    other = start("two")
    for session_id in ids.values():
        assert other.post("/runs/cancel", {"runID": other.runs(session_id)[0]["id"]}).status == 200
    for session_id in ids.values():
        eventually(lambda session_id=session_id: other.session(session_id)["status"] == "Cancelled")
    assert first.process.poll() is None
    stop(other)
    stop(first)
