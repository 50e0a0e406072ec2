"""Hostile and careless clients, over bare sockets."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import urllib3

from airplane_runbooks.server import Context, Limits, RunbookServer, runbook
from airplane_runbooks.server.web import protocol
from airplane_runbooks.server.web.api import authentication, health
from tests.support import servers
from tests.support.servers import eventually

pytestmark = pytest.mark.once

LARGE = 6_000_000
STRONG = "tkn_5d41402abc4b2a76"


@runbook
def large(context: Context) -> str:
    """Return a lot."""
    return "x" * LARGE


started = partial(servers.started, large)


@pytest.fixture(scope="module")
def served():
    with started() as (_, client):
        yield client


def dial(client, **options):
    parts = urlsplit(client.url)
    connection = socket.socket()
    for name, value in options.items():
        connection.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    connection.settimeout(100)
    connection.connect((parts.hostname, parts.port))
    return connection


def request(client, *lines, method="GET", path="/v0/sessions/list", version="1.1", host="Host: localhost"):
    key = f"X-Airplane-API-Key: {client.headers['X-Airplane-API-Key']}"
    fixed = (f"{method} {path} HTTP/{version}", key, *filter(None, [host]))
    return "\r\n".join((*fixed, *lines, "", "")).encode()


def everything(connection):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 20):
            received += chunk
    return received


def exchange(client, data):
    with dial(client) as connection:
        connection.sendall(data)
        return everything(connection)


def status_of(reply):
    return int(reply.split(b" ", 2)[1])


def refusal_of(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert b"x-airplane-retryable: " in head.lower()
    return status_of(reply), json.loads(body)["code"]


CLOSE = "Connection: close"
HOSTS = {
    **dict.fromkeys(["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:99"], 200),
    **dict.fromkeys(
        ["example.com", "localhost.example.com", "example.com:80", "127.0.0.1.nip.io", "0.0.0.0", "[::2]", ""], 421
    ),
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_on_loopback_accepts_only_loopback_names(served, host):
    for path in ("/v0/sessions/list", "/sign-in"):
        reply = exchange(served, request(served, CLOSE, path=path, host=f"Host: {host}"))
        assert status_of(reply) == HOSTS[host]
    if HOSTS[host] == 421:
        assert refusal_of(reply) == (421, "misdirected_request")


def test_a_request_without_a_host_header_is_answered(served):
    assert status_of(exchange(served, request(served, version="1.0", host=None))) == 200


def test_probes_are_answered_for_any_host_name(served):
    for path in ("/healthz", "/readyz"):
        assert status_of(exchange(served, request(served, CLOSE, path=path, host="Host: 10.0.0.7"))) == 200


def test_allowed_hosts_adds_host_names():
    with started(allowed_hosts=["Runbooks.Example.com", "2001:db8::1"]) as (_, client):
        for host, status in [
            ("runbooks.example.com", 200),
            ("runbooks.example.com:443", 200),
            ("[2001:db8::1]:80", 200),
            ("localhost", 200),
            ("example.com", 421),
        ]:
            assert status_of(exchange(client, request(client, CLOSE, host=f"Host: {host}"))) == status


def test_a_reachable_server_accepts_any_host_name_by_default():
    for options, status in (({}, 200), ({"allowed_hosts": ["example.com"]}, 421)):
        with RunbookServer([], host="0.0.0.0", api_key=STRONG, **options) as server:
            url = f"http://127.0.0.1:{urlsplit(server.base_url).port}/v0/sessions/list"
            headers = {"X-Airplane-API-Key": STRONG, "Host": "example.org"}
            assert urllib3.request("GET", url, headers=headers).status == status


def test_allowed_hosts_is_not_a_single_string():
    with pytest.raises(TypeError, match="sequence"):
        RunbookServer([], allowed_hosts="example.com")


@pytest.mark.parametrize(
    "data",
    [
        "X-Long: " + "x" * 20_000,
        "X-Long: " + "x" * 200_000,
        "\r\n".join(f"X-{number}: x" for number in range(120)),
        "\r\n".join(f"X-{number}: x" for number in range(30_000)),
    ],
    ids=["long", "longer", "many", "more"],
)
def test_headers_are_limited_in_size_and_number(served, data):
    reply = exchange(served, request(served, CLOSE, data))
    assert refusal_of(reply) == (431, "headers_too_large")
    assert b"x-airplane-retryable: false" in reply.lower()


def test_headers_without_an_end_are_limited_too():
    with started(limits=Limits(max_head=2000)) as (_, client):
        reply = exchange(client, request(client, "X-Long: " + "x" * 3000)[:-4])
    assert refusal_of(reply) == (431, "headers_too_large")


def test_the_request_line_is_limited_in_size(served):
    reply = exchange(served, request(served, CLOSE, path="/v0/runs/get?id=" + "x" * 17_000))
    assert refusal_of(reply) == (431, "headers_too_large")


def test_ninety_headers_of_usual_size_are_accepted(served):
    lines = [f"X-{number}: {'x' * 100}" for number in range(90)]
    assert status_of(exchange(served, request(served, CLOSE, *lines))) == 200


def test_pipelined_requests_are_all_answered(served):
    replies = exchange(served, request(served) * 5 + request(served, CLOSE))
    assert replies.count(b"HTTP/1.1 200 OK") == 6


def test_an_http_1_0_request_ends_its_connection(served):
    reply = exchange(served, request(served, version="1.0"))
    assert reply.endswith(b'{"sessions":[]}')


def test_a_chunked_body_is_read(served):
    lines = (CLOSE, "Transfer-Encoding: chunked")
    head = request(served, *lines, method="POST", path="/v0/tasks/execute")
    reply = exchange(served, head + b'8\r\n{"slug":\r\n7\r\n"nope"}\r\n0\r\n\r\n')
    assert refusal_of(reply) == (404, "task_not_found")


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Transfer-Encoding: chunked"], b"nonsense\r\n"),
        (["Transfer-Encoding: gzip"], b""),
        (["Content-Length: 2", "Content-Length: 3"], b"{}"),
        (["Content-Length: -1"], b""),
    ],
    ids=["no chunk", "no chunks", "two lengths", "no length"],
)
def test_a_body_of_ambiguous_length_ends_the_connection(served, lines, body):
    reply = exchange(served, request(served, *lines, method="POST", path="/v0/tasks/execute") + body)
    assert reply == b"" or refusal_of(reply)[0] in (400, 501)


def test_a_client_that_expects_100_continue_gets_it(served):
    head = request(served, CLOSE, "Expect: 100-continue", "Content-Length: 2", method="POST", path="/v0/tasks/execute")
    with dial(served) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(b"{}")
        assert refusal_of(everything(connection)) == (400, "missing_field")


def test_a_client_without_a_key_gets_no_100_continue(served):
    lines = (CLOSE, "Expect: 100-continue", "Content-Length: 2")
    head = request(served, *lines, method="POST", path="/v0/tasks/execute").replace(b"tkn_", b"ktn_")
    assert refusal_of(exchange(served, head)) == (401, "unauthorized")


@contextlib.contextmanager
def one_large_output(**limits):
    """Run a server with a run of a large output, and yield it with a client and the request for that output."""
    with started(limits=Limits(**limits)) as (server, client):
        session_id = client.execute("large")
        client.reaches(session_id, "Succeeded")
        run_id = client.runs(session_id)[0]["id"]
        client.pool.clear()
        eventually(lambda: not server._server.server_state.connections)
        yield server, client, request(client, path=f"/v0/runs/getOutputs?id={run_id}")


@pytest.fixture
def watched(monkeypatch):
    """The transports whose writing is watched, each with the bytes that then wait to be written."""
    seen, watch = [], protocol._Protocol._watch_writing

    def noting(self, *before):
        seen.append((self.transport, self.transport.get_write_buffer_size()))
        return watch(self, *before)

    monkeypatch.setattr(protocol._Protocol, "_watch_writing", noting)
    return seen


def test_a_client_that_does_not_read_its_reply_is_cut_off(watched):
    with one_large_output(write_timeout=0.2) as (server, client, ask), dial(client, SO_RCVBUF=4096) as connection:
        connection.sendall(ask)
        transport, size = eventually(lambda: watched and watched[0])
        assert size > 1_000_000
        assert transport.get_write_buffer_limits() == (0, 0)  # so that the last byte is watched, too
        eventually(lambda: not server._server.server_state.connections)
        assert transport.get_write_buffer_size() == 0
        assert len(everything(connection)) < LARGE


def test_a_client_that_never_reads_has_one_reply_waiting(watched):
    with one_large_output(write_timeout=0.5) as (server, client, ask), dial(client, SO_RCVBUF=4096) as connection:
        connection.sendall(ask * 20)
        eventually(lambda: watched)
        eventually(lambda: not server._server.server_state.connections)
        assert LARGE / 10 < max(size for _, size in watched) < LARGE * 2


def test_a_slow_client_gets_its_whole_reply():
    with one_large_output(write_timeout=10) as (_, client, ask), dial(client, SO_RCVBUF=4096) as connection:
        connection.sendall(ask)
        received = 0
        while received < LARGE:
            for _ in range(20):
                received += len(connection.recv(65536))
            time.sleep(0.02)
        assert received >= LARGE


def test_a_client_has_to_read_256_kib_in_each_interval():
    sizes, steps = [10_000_000, 10_000_000 - 256 * 1024, 9_000_000, 9_000_000 - 256 * 1024 + 1], []

    class Stepped(protocol._Protocol):
        limits = Limits(write_timeout=7)
        transport = SimpleNamespace(get_write_buffer_size=lambda: sizes.pop(0), abort=lambda: steps.append("cut"))

    watched = object.__new__(Stepped)
    watched._write_timer = SimpleNamespace(set=lambda *call: steps.append(call))
    watched._watch_writing()
    while sizes:
        delay, look, before = steps[-1]
        assert delay == 7
        look(before)
    assert [step[-1] for step in steps[:-1]] == [10_000_000, 10_000_000 - 256 * 1024, 9_000_000]
    assert steps[-1] == "cut"


def test_a_server_closes_though_a_client_does_not_read(monkeypatch):
    monkeypatch.setattr(protocol, "_DRAIN", 1)
    with one_large_output() as (server, client, ask), dial(client, SO_RCVBUF=4096) as connection:
        connection.sendall(ask)
        eventually(lambda: server._server.server_state.connections)
        server.close()
        assert len(everything(connection)) < LARGE


def test_connections_beyond_the_limit_get_503_or_are_dropped():
    with started(limits=Limits(max_connections=4)) as (server, client), contextlib.ExitStack() as idle:
        state = server._server.server_state
        for number in range(4):
            known = idle.enter_context(dial(client))
            known.sendall(request(client))
            assert status_of(known.recv(1 << 16)) == 200
            eventually(lambda number=number: len(state.connections) == number + 1)
        with dial(client) as one_more:
            eventually(lambda: len(state.connections) == 5)
            with dial(client) as another:
                assert everything(another) == b""
            one_more.sendall(request(client, "Content-Length: 0", method="POST", path="/v0/tasks/execute"))
            reply = everything(one_more)
        assert refusal_of(reply) == (503, "too_many_connections")
        for line in (b"retry-after: 1", b"x-airplane-retryable: true", b"connection: close"):
            assert line in reply.lower()
        idle.close()
        eventually(lambda: not state.connections)
        assert client.get("/sessions/list").status == 200


def test_earlier_connections_are_served_beyond_the_limit():
    with started(limits=Limits(max_connections=1)) as (_, client), dial(client) as first:
        first.sendall(request(client))
        assert status_of(first.recv(1 << 16)) == 200
        with dial(client):
            first.sendall(request(client, CLOSE))
            assert status_of(everything(first)) == 200


def test_anonymous_connections_make_room_for_new_ones():
    with started(limits=Limits(max_connections=8)) as (server, client), contextlib.ExitStack() as open_ones:
        state = server._server.server_state
        known = open_ones.enter_context(dial(client))
        known.sendall(request(client))
        assert status_of(known.recv(1 << 16)) == 200
        first = open_ones.enter_context(dial(client))
        for _ in range(50):
            idle = open_ones.enter_context(dial(client))
            idle.sendall(b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            assert client.get("/sessions/list").status == 200
        assert everything(first) == b""
        assert len(state.connections) <= 8
        known.sendall(request(client, CLOSE))
        assert status_of(everything(known)) == 200


def test_a_refused_body_without_an_end_ends_its_connection():
    with started(limits=Limits(head_timeout=2.0)) as (server, client), dial(client) as connection:
        connection.sendall(b"POST /v0/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert refusal_of(everything(connection)) == (401, "unauthorized")
        eventually(lambda: not server._server.server_state.connections)


def test_an_exception_outside_the_pipeline_is_answered_in_json(served, monkeypatch, caplog):
    async def fail(*args):
        raise RuntimeError("secret value")

    monkeypatch.setattr(authentication.RequireApiKey, "__call__", fail)
    with caplog.at_level(logging.INFO):
        answer = served.get("/sessions/list")
    assert (answer.status, answer.code, answer.headers["X-Airplane-Retryable"]) == (500, "internal_error", "true")
    assert "RuntimeError" in caplog.text
    assert "secret value" not in caplog.text


def test_a_call_that_outlasts_the_shutdown_is_retryable(monkeypatch):
    monkeypatch.setattr(protocol, "_DRAIN", 1)
    with started() as (server, client), dial(client) as connection:
        lines = ("Content-Length: 9", "Idempotency-Key: k")
        connection.sendall(request(client, *lines, method="POST", path="/v0/tasks/execute") + b"{")
        eventually(lambda: server._server.server_state.tasks)
        server.close()
        reply = everything(connection)
    assert refusal_of(reply) == (503, "closing")
    for line in (b"retry-after: 1", b"x-airplane-retryable: true", b"idempotency-key: k"):
        assert line in reply.lower()


def ready(client):
    reply = urllib3.request("GET", client.url.removesuffix("/v0") + "/readyz", retries=False)
    return reply.status, reply.json().get("code") or reply.json()["status"]


def test_a_server_is_ready_until_it_closes():
    with started() as (server, client):
        assert ready(client) == (200, "ready")
        server._lifecycle.stop()
        assert ready(client) == (503, "closing")


def test_a_server_whose_database_fails_is_not_ready(monkeypatch):
    def fail():
        raise ConnectionError

    with started() as (server, client):
        monkeypatch.setattr(server._lifecycle, "probe", fail)
        assert ready(client) == (503, "store_unavailable")
        monkeypatch.undo()
        assert ready(client) == (200, "ready")


def test_a_successful_probe_is_reused_for_a_second(monkeypatch):
    asked = []
    with started() as (server, client):
        monkeypatch.setattr(server._lifecycle, "probe", lambda: asked.append(None))
        moments = iter([0.0] * 4 + [health.REUSED_FOR] * 8)
        monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: next(moments)))
        assert [ready(client) for _ in range(5)] == [(200, "ready")] * 5
        assert len(asked) == 2


def test_a_database_that_hangs_is_probed_only_once(monkeypatch):
    asked, leave = [], threading.Event()

    def hang():
        asked.append(None)
        leave.wait(100)

    with started() as (server, client):
        monkeypatch.setattr(server._lifecycle, "probe", hang)
        with ThreadPoolExecutor(20) as threads:
            answers = {*threads.map(ready, [client] * 20)}
        assert answers == {(503, "store_unavailable")}
        assert len(asked) == 1
        reply = urllib3.request("GET", client.url.removesuffix("/v0") + "/healthz")
        assert (reply.status, reply.json()) == (200, {"status": "ok"})
        leave.set()
        eventually(lambda: ready(client) == (200, "ready"))
