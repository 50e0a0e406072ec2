"""The demos run to their end, and stop when they are told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.support.processes import running

pytestmark = pytest.mark.once

DEMO = "airplane_runbooks.server.demo"


def run(module: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", module, *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=250)


def test_the_demo_answers_by_itself_where_there_is_no_terminal() -> None:
    done = run(DEMO)
    assert (done.returncode, done.stderr) == (0, "")
    assert "step     issue_refund: Succeeded" in done.stdout
    assert "result   to ada@example.com: Your refund rfd_1042 is on its way." in done.stdout
    assert "runbooks.execute_and_wait  (INTERNAL)" in done.stdout


def test_the_demo_asks_until_it_gets_an_answer() -> None:
    done = run(DEMO, "--interactive", text="what?\nno\nnot this time\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "please answer y or n" in done.stdout
    assert "answer   {'approve': False, 'note': 'not this time'}" in done.stdout
    assert "We cannot refund this invoice." in done.stdout


def test_the_demo_ends_with_its_input() -> None:
    done = run(DEMO, "--interactive")
    assert done.returncode == 130
    assert "interrupted: nothing is left running" in done.stdout


def test_the_async_demo_runs_two_hundred_sessions_at_once() -> None:
    done = run(f"{DEMO}_async")
    assert done.returncode == 0
    assert done.stdout.startswith("executing 200 runbooks\n200 sessions at once: {'Succeeded': 200} in ")
    assert "s, 200 prompts answered" in done.stdout


def test_the_async_demo_stops_at_ctrl_c() -> None:
    command = [sys.executable, "-m", f"{DEMO}_async", "--sessions", "2000"]
    with running(command, stderr=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == "executing 2000 runbooks\n"
        time.sleep(1)  # so that it is in the middle of its work
        demo.send_signal(signal.SIGINT)
        output, errors = demo.communicate(timeout=120)
        assert (output, errors, demo.returncode) == ("\ninterrupted: nothing is left running\n", "", 130)
