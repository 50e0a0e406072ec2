from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from urllib.parse import urlsplit

import pytest
import urllib3
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from airplane_runbooks.server import Context, RunbookServer, create_app, runbook, serving
from airplane_runbooks.server.serving import _is_loopback
from airplane_runbooks.server.storage.errors import DatabaseInUse
from tests.support.interrupts import interrupt
from tests.support.processes import running
from tests.support.servers import Client, eventually, served

pytestmark = pytest.mark.once

ENTERED = threading.Event()
LEAVE = threading.Event()
CALLS = []


@runbook
def asks(context: Context) -> None:
    """Ask."""
    context.prompt("Go on?", go=bool)


@runbook
def two_steps(context: Context) -> None:
    """Stay in the first step, then go on."""
    context.step(stay)
    context.step(CALLS.append, "second")


def stay():
    ENTERED.set()
    assert LEAVE.wait(100)


@runbook
def keeps_failing(context: Context) -> None:
    """Be between two attempts most of the time."""

    def fail() -> None:
        CALLS.append("attempt")
        raise ConnectionError

    context.step(fail, retries=100)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    ENTERED.clear()
    LEAVE.clear()
    CALLS.clear()
    before = set(threading.enumerate())
    yield
    LEAVE.set()
    assert eventually(lambda: set(threading.enumerate()) <= before)
    gc.collect()  # an unclosed socket would warn, and warnings are errors


def closing_time(server):
    began = time.monotonic()
    server.close()
    return time.monotonic() - began


def test_a_server_answers_only_inside_its_with_statement():
    with RunbookServer([asks]) as server:
        parts = urlsplit(server.base_url)
        assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/v0")
        assert server.api_key.startswith("tkn_")
        assert server.api_key not in repr(server)
        assert urllib3.request("GET", f"http://{parts.netloc}/healthz").status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parts.hostname, parts.port))
    server.close()


def test_two_servers_run_in_one_process():
    with served(asks) as one, served(asks) as other:
        assert one.url != other.url
        one.execute("asks")
        assert other.get("/sessions/list").json == {"sessions": []}
        assert other.send("GET", "/sessions/list", headers=one.headers).status == 401


def test_a_server_closes_at_once_with_idle_connections():
    server = RunbookServer([asks], grace=200).start()
    clients = [Client(server) for _ in range(5)]
    for client in clients:
        client.open_prompt(client.execute("asks"))
    assert closing_time(server) < 60
    for client in clients:
        client.close()


def test_a_closing_server_finishes_only_the_running_step():
    server = RunbookServer([two_steps]).start()
    client = Client(server)
    client.execute("two_steps")
    assert ENTERED.wait(100)
    closing = threading.Thread(target=server.close)
    closing.start()
    eventually(server._lifecycle._runner._stopping.is_set)
    assert closing.is_alive()
    LEAVE.set()
    closing.join()
    client.close()
    assert CALLS == []


def test_a_step_that_does_not_end_is_left_after_the_grace(caplog):
    server = RunbookServer([two_steps], grace=0.1).start()
    client = Client(server)
    client.execute("two_steps")
    assert ENTERED.wait(100)
    with caplog.at_level(logging.WARNING):
        assert closing_time(server) < 60
    assert "1 steps are still running" in caplog.text
    LEAVE.set()
    client.close()


def test_a_closing_server_waits_for_no_further_attempt():
    server = RunbookServer([keeps_failing], grace=200).start()
    client = Client(server)
    client.execute("keeps_failing")
    eventually(lambda: len(CALLS) >= 4)
    assert closing_time(server) < 60
    client.close()


def test_a_server_starts_only_once():
    server = RunbookServer([])
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.base_url
    with server, pytest.raises(RuntimeError, match="only once"):
        server.start()


def test_closing_a_server_that_never_started_does_nothing():
    RunbookServer([]).close()


def test_the_end_of_a_server_waits_for_no_tick(monkeypatch):
    monkeypatch.setattr(serving, "TICK", 3600.0)
    with served(asks) as api:
        assert api.get("/sessions/list").status == 200


def test_a_forgotten_server_that_never_started_is_collected(tmp_path):
    """It lets go of its file, too. The writer's thread keeps it until that has been idle for a moment."""
    url = f"sqlite:///{tmp_path / 'server.db'}"
    forgotten = weakref.ref(RunbookServer([asks], database=url))
    eventually(lambda: gc.collect() >= 0 and forgotten() is None)
    eventually(lambda: gc.collect() >= 0 and not is_in_use(url))


def is_in_use(url):
    try:
        RunbookServer([asks], database=url).close()
    except DatabaseInUse:
        return True
    return False


def test_an_address_in_use_is_an_error_of_the_start():
    with RunbookServer([]) as server:
        port = urlsplit(server.base_url).port
        other = RunbookServer([], port=port)
        with pytest.raises(OSError, match="in use"):
            other.start()
        assert other._lifecycle.stopping


def test_another_thread_waits_for_the_end_of_a_server():
    server = RunbookServer([]).start()
    thread = threading.Thread(target=server.wait)
    thread.start()
    server.close()
    thread.join(100)
    assert not thread.is_alive()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_a_server_on_loopback_makes_its_own_key(host):
    assert _is_loopback(host)
    RunbookServer([], host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_a_server_on_other_interfaces_needs_a_key(host):
    with pytest.raises(ValueError, match="choose an api_key"):
        RunbookServer([], host=host)
    RunbookServer([], host=host, api_key="tkn_5d41402abc4b2a76")


def test_the_base_url_has_ipv6_in_brackets():
    with contextlib.suppress(OSError), served(host="::1") as client:
        assert client.url.startswith("http://[::1]:")
        assert client.get("/sessions/list").status == 200


@pytest.mark.parametrize("key", ["", " ", "tkn ü", "a\nb", " a"])
def test_an_api_key_that_no_header_can_carry_is_refused(key):
    with pytest.raises(ValueError, match="API key"):
        RunbookServer([], api_key=key)


def test_invalid_arguments_are_refused_before_the_start():
    with pytest.raises(TypeError, match="decorate it"):
        RunbookServer([lambda context: None])
    with pytest.raises(ValueError, match="two runbooks have the slug"):
        RunbookServer([asks, asks])
    with pytest.raises(TypeError, match="sequence"):
        RunbookServer([asks], environments="prod")
    with pytest.raises(ValueError, match="worker"):
        RunbookServer([asks], workers=0)


def test_the_oldest_ended_sessions_are_deleted():
    @runbook
    def quick(context: Context) -> None:
        context.step(len, "x")

    with served(quick, asks, keep_ended=3) as api:
        waiting = api.execute("asks")
        api.reaches(waiting, "Waiting")
        started = [api.execute("quick") for _ in range(6)]
        eventually(lambda: len(api.get("/sessions/list").json["sessions"]) == 4)
        eventually(lambda: len(api.get("/runs/list").json["runs"]) == 2 + 3 * 2)
        assert api.session(waiting)["status"] == "Waiting"
        gone = [one for one in started if api.get("/sessions/get", id=one).status == 404]
        assert len(gone) == 3


def test_the_application_can_be_mounted_below_a_path():
    inner = create_app([asks], api_key="tkn_mine")
    app = Starlette(routes=[Mount("/airplane", app=inner)])
    listener = socket.create_server(("127.0.0.1", 0))
    # By default, uvicorn may install uvloop for the whole process.
    config = uvicorn.Config(app, loop="asyncio", log_config=None, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    eventually(lambda: server.started)

    class Where:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/airplane/v0"
        api_key = "tkn_mine"

    client = Client(Where)
    session_id = client.execute("asks")
    client.answer(session_id, go=True)
    client.reaches(session_id, "Succeeded")
    assert client.get("/nope").status == 404
    client.close()
    server.should_exit = True
    thread.join()

    async def shut():
        async with inner.router.lifespan_context(inner):
            pass

    asyncio.run(shut())


INTERRUPTED = """
import time, urllib3
from airplane_runbooks.server import Context, RunbookServer, runbook

def last():
    print("entered", flush=True)
    time.sleep(0.3)
    print("left", flush=True)

@runbook
def one_step(context: Context) -> None:
    context.step(last)

try:
    with RunbookServer([one_step]) as server:
        headers = {"X-Airplane-API-Key": server.api_key}
        urllib3.request("POST", server.base_url + "/runbooks/execute", json={"slug": "one_step"}, headers=headers)
        server.wait()
except KeyboardInterrupt:
    print("closed", flush=True)
"""


def test_an_interrupted_start_closes_the_server():
    server = RunbookServer([asks])
    with pytest.raises(KeyboardInterrupt), interrupt("Latch.wait", 1):
        server.start()
    server.wait()


def test_a_server_that_is_told_to_end_while_it_starts_closes(monkeypatch):
    server = RunbookServer([asks])
    opens = server._lifecycle.open

    def open_and_end():
        opens()
        server._server.end()

    monkeypatch.setattr(server._lifecycle, "open", open_and_end)
    server.start()
    server.wait()


def test_a_start_that_gets_no_thread_closes_the_server(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    server = RunbookServer([asks])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            server.start()
    server.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_closes_the_server_after_the_running_step():
    with running([sys.executable, "-c", INTERRUPTED]) as process:
        assert process.stdout.readline() == "entered\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
        assert (out, process.returncode) == ("left\nclosed\n", 0)


FORGOTTEN = """
import logging, threading, time
from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, runbook

logging.basicConfig()
entered = threading.Event()

def slow():
    entered.set()
    time.sleep(1)
    print("left", flush=True)

@runbook
def sleepy(context: Context) -> None:
    context.step(slow)
    context.step(print, "never")

server = RunbookServer([sleepy]).start()
with Airplane(server.api_key, base_url=server.base_url) as airplane:
    airplane.runbooks.execute("sleepy")
entered.wait()
raise SystemExit(3)
"""


def test_a_server_closes_when_the_main_thread_has_ended():
    with running([sys.executable, "-c", FORGOTTEN], stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=100)
    assert (out, process.returncode) == ("left\n", 3)
    assert "the main thread has ended without closing the server, which closes now" in err
    assert "Traceback" not in err


def test_a_port_in_use_is_named_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*another program listens"
        ) as raised:
            RunbookServer([], port=port).start()
    assert raised.value.errno == errno.EADDRINUSE


def test_an_address_that_is_not_here_is_named():
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1:1: Permission denied|Address already") as raised:
        raise serving._listening_error(PermissionError(errno.EACCES, "Permission denied"), "127.0.0.1", 1)
    assert type(raised.value) is PermissionError
