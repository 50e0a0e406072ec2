"""`serve` in child processes, with real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import urllib3

from airplane_runbooks.server import serve
from tests.support.processes import running

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")]

PROGRAM = """
import os, sys, time
from airplane_runbooks.server import Context, runbook, serve

def work():
    print("entered", flush=True)
    time.sleep(float(sys.argv[2]))
    print("left", flush=True)

@runbook
def one_step(context: Context) -> None:
    context.step(work)

def runbooks():
    if "PREPARE" in os.environ:
        print("preparing", flush=True)
        time.sleep(float(os.environ["PREPARE"]))
    yield one_step

serve(runbooks(), port=int(sys.argv[1]), grace=30, database="sqlite://")
print("returned", flush=True)
"""


def serving(port=0, seconds=0.3, **environment):
    environment = {**os.environ, **environment}
    command = [sys.executable, "-c", PROGRAM, str(port), str(seconds)]
    return running(command, env=environment, stderr=subprocess.PIPE)


def address(process):
    serving, pages = process.stderr.readline(), process.stderr.readline()
    url = re.fullmatch(r"Serving at (http://127\.0\.0\.1:\d+/v0) until Ctrl-C\n", serving)[1]
    assert pages == f"Pages: {url.removesuffix('v0')}\n"
    return url


EVENT = re.compile(r"[0-9-]+ [0-9:,]+ INFO ([a-z ]+) (runbook=one_step session_id=|method=POST route=/v0/runbooks/).*")


def shown_events(err):
    """Return the names of the events on the console, which shows nothing else. The one request may be at any place."""
    names = [EVENT.fullmatch(line)[1] for line in err.splitlines() if line != "Stopped"]
    names.remove("request answered")
    return names


def shown_key(process):
    return process.stderr.readline().split()[-1]


def rest(process):
    """Return what it writes from now on and the exit status. `communicate` would lose what has been read ahead."""
    return process.stdout.read(), process.stderr.read(), process.wait()


def call(url, key, slug="one_step"):
    return urllib3.request(
        "POST", f"{url}/runbooks/execute", json={"slug": slug}, headers={"X-Airplane-API-Key": key}
    ).status


def is_open(host, port):
    with socket.socket() as probe:
        return not probe.connect_ex((host, port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_serve_after_the_running_step(number):
    with serving(AIRPLANE_API_KEY="") as process:
        url, key = address(process), shown_key(process)
        assert key.startswith("tkn_")
        assert call(url, key) == 200
        assert process.stdout.readline() == "entered\n"
        process.send_signal(number)
        out, err, status = rest(process)
        assert (out, status) == ("left\nreturned\n", 0)
        assert shown_events(err) == ["session started", "step ended", "session ended"]
        assert err.splitlines()[-1] == "Stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once(number):
    with serving(seconds=60, AIRPLANE_API_KEY="tkn_mine") as process:
        url = address(process)
        assert call(url, "tkn_mine") == 200
        assert process.stdout.readline() == "entered\n"
        process.send_signal(signal.SIGINT)
        host, port = url.split("/")[2].split(":")
        while is_open(host, int(port)):  # until the first signal has been taken
            time.sleep(0.01)
        process.send_signal(number)
        out, err, status = rest(process)
        assert (out, shown_events(err), status) == ("", ["session started"], 128 + number)


def test_a_key_from_the_environment_is_not_shown():
    with serving(AIRPLANE_API_KEY="tkn_mine") as process:
        assert call(address(process), "tkn_mine") == 200
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=100)
        assert "tkn_mine" not in out + err
        assert process.returncode == 0


def test_a_signal_during_the_start_ends_serve_as_well():
    with serving(AIRPLANE_API_KEY="tkn_mine", PREPARE="0.5") as process:
        assert process.stdout.readline() == "preparing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
        assert (out, process.returncode) == ("returned\n", 0)
        assert [line.split()[0] for line in err.splitlines()] == ["Serving", "Pages:", "Stopped"]


def test_the_start_names_the_public_address_of_the_pages():
    with serving(AIRPLANE_API_KEY="tkn_5d41402abc4b2a76", AIRPLANE_PUBLIC_URL="https://ops.example/tools/") as process:
        process.stderr.readline()
        assert process.stderr.readline() == "Pages: https://ops.example/tools/\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_bad_variable_is_named_in_the_last_line():
    with serving(AIRPLANE_WORKERS="many") as process:
        _, err = process.communicate(timeout=100)
    assert err.splitlines()[-1] == "ValueError: AIRPLANE_WORKERS must be a whole number of at least 1, not 'many'"


def test_a_port_in_use_is_named_in_the_last_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(port) as process:
            out, err = process.communicate(timeout=100)
    assert (out, process.returncode) == ("", 1)
    assert re.fullmatch(
        rf"OSError: .*:{port}: [Aa]ddress already in use: another program listens there.*", err.splitlines()[-1]
    )


def test_serve_needs_the_main_thread():
    problems = []

    def run():
        try:
            serve([])
        except RuntimeError as problem:
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(problems[0])


def test_serve_with_invalid_options_leaves_signals_alone(monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.delenv("AIRPLANE_API_KEY", raising=False)
    with pytest.raises(ValueError, match="choose an api_key"):
        serve([], host="0.0.0.0", database="sqlite://")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve([], port=taken.getsockname()[1], database="sqlite://")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_server_on_sqlite_loads_neither_dbos_nor_the_driver(tmp_path):
    program = f"""
import sys, time
from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, runbook

@runbook
def one(context: Context) -> int:
    return context.step(int, "1")

with RunbookServer([one], database="sqlite:///{tmp_path / "runbooks.db"}") as server:
    with Airplane(server.api_key, base_url=server.base_url) as client:
        session_id = client.runbooks.execute(slug="one").session_id
        while client.sessions.get(session_id).status != "Succeeded":
            time.sleep(0.05)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "sqlalchemy" in loaded
    assert loaded & {"dbos", "psycopg", "psycopg_binary", "psycopg_c"} == set()
