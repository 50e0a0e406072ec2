from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
import zlib
from urllib.parse import urlsplit

import pytest
import urllib3

from airplane_runbooks.server import Context, Limits, RunbookServer, runbook
from airplane_runbooks.server.service import sessions
from airplane_runbooks.server.web.api.handlers import OPERATIONS
from airplane_runbooks.server.web.api.objects import OBJECTS
from tests.support.servers import Client, eventually, served, started

LIMITS = Limits(max_body=10_000, max_calls=2, body_timeout=0.3)


@runbook
def echo(context: Context, value: str = "") -> str:
    """Return what came."""
    return value


@pytest.fixture(scope="module")
def api():
    with served(echo) as client:
        yield client


@pytest.fixture(scope="module")
def tight():
    with served(echo, limits=LIMITS) as client:
        yield client


def raw(client, data, *, until_closed=True):
    """Send bytes over a connection of their own and return what comes back until the server closes it."""
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=100) as connection:
        connection.sendall(data)
        received = b""
        while until_closed and (chunk := connection.recv(65536)):
            received += chunk
        return received


@pytest.mark.parametrize(("method", "path"), [*OPERATIONS, *OBJECTS])
def test_every_operation_needs_the_key(api, method, path):
    for headers in ({}, {"X-Airplane-API-Key": ""}, {"X-Airplane-API-Key": "tkn_x"}, {"X-Airplane-Token": "ü"}):
        reply = urllib3.request(method, api.url + path, headers=headers, retries=False)
        assert (reply.status, reply.json()["code"]) == (401, "unauthorized")
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["X-Airplane-Retryable"] == "false"


def test_either_header_carries_the_key(api):
    key = api.headers["X-Airplane-API-Key"]
    for headers in (
        {"X-Airplane-API-Key": key},
        {"X-Airplane-Token": key},
        {"X-Airplane-API-Key": "old", "X-Airplane-Token": key, "X-Team-ID": "tea1"},
    ):
        assert urllib3.request("GET", f"{api.url}/sessions/list", headers=headers).status == 200


def test_unknown_routes_need_the_key_too(api):
    assert urllib3.request("GET", f"{api.url}/nope").status == 401
    for path in ("/nope", "/sessions/get/", "/sessions", "/"):
        answer = api.get(path)
        assert (answer.status, answer.code) == (404, "route_not_found")
    outside = urllib3.request("GET", api.url.removesuffix("/v0") + "/nope")
    assert (outside.status, outside.json()["code"]) == (404, "route_not_found")


@pytest.mark.parametrize(("method", "path"), [*OPERATIONS, *OBJECTS])
def test_a_wrong_method_is_answered_in_json(api, method, path):
    other = "GET" if method == "POST" else "POST"
    answer = api.send(other, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert method in answer.headers["Allow"]
    assert answer.headers["X-Airplane-Retryable"] == "false"


def test_health_needs_no_key(api):
    reply = urllib3.request("GET", api.url.removesuffix("/v0") + "/healthz")
    assert (reply.status, reply.json()) == (200, {"status": "ok"})


def test_a_head_request_gets_no_body(api):
    reply = urllib3.request("HEAD", f"{api.url}/sessions/list", headers=api.headers)
    assert (reply.status, reply.data) == (200, b"")


def execute(client, value, **options):
    return client.send(
        "POST", "/runbooks/execute", body=json.dumps({"slug": "echo", "paramValues": {"value": value}}), **options
    )


def test_a_body_is_limited_in_size(tight):
    assert execute(tight, "x" * 9_000).status == 200
    answer = execute(tight, "x" * 10_000)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert answer.headers["X-Airplane-Retryable"] == "false"
    chunked = tight.send("POST", "/runbooks/execute", body=iter([b"x" * 6_000] * 3), chunked=True)
    assert chunked.status == 413


def test_a_compressed_body_is_limited_in_its_full_size(tight):
    bomb = gzip.compress(b"{" + b" " * 5_000_000 + b"}")
    assert len(bomb) < LIMITS.max_body
    answer = tight.send("POST", "/runbooks/execute", body=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (413, "body_too_large")


GOOD = gzip.compress(b'{"slug": "echo"}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"slug": "echo"}',
        GOOD[:-1],
        GOOD[:12],
        GOOD[:-4] + b"\0\0\0\0",
        GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:],
        GOOD + GOOD,
        GOOD + b"x",
        zlib.compress(b'{"slug": "echo"}'),
    ],
    ids=["plain", "cut", "cut early", "wrong length", "wrong checksum", "two", "trailing", "zlib"],
)
def test_invalid_gzip_is_a_bad_request(api, body):
    answer = api.send("POST", "/runbooks/execute", body=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (400, "invalid_gzip")


def test_gzip_is_the_only_compression(api):
    for encoding in ("br", "gzip, gzip", "deflate"):
        answer = api.send("POST", "/runbooks/execute", body=GOOD, headers={"Content-Encoding": encoding})
        assert (answer.status, answer.code) == (415, "unsupported_encoding")
        assert answer.headers["Accept-Encoding"] == "gzip"
    for encoding in ("identity", "", "GZIP"):
        body = GOOD if encoding == "GZIP" else b'{"slug": "echo"}'
        assert api.send("POST", "/runbooks/execute", body=body, headers={"Content-Encoding": encoding}).status == 200


def head(client, *lines, method="POST", path="/runbooks/execute"):
    fixed = (
        f"{method} {urlsplit(client.url).path}{path} HTTP/1.1",
        "Host: localhost",
        f"X-Airplane-API-Key: {client.headers['X-Airplane-API-Key']}",
    )
    return "\r\n".join((*fixed, *lines, "", "")).encode()


def test_a_body_that_does_not_arrive_times_out(tight):
    received = raw(tight, head(tight, "Content-Length: 10", "Connection: close") + b"{")
    assert received.startswith(b"HTTP/1.1 408")
    assert b'"code":"request_timeout"' in received


def test_headers_that_do_not_arrive_close_the_connection():
    with served(echo, limits=Limits(head_timeout=0.3)) as hasty:
        for start in (b"", b"GET /v0", head(hasty)[:-2]):
            assert raw(hasty, start) == b""


def test_an_idle_connection_outlives_the_head_timeout():
    with served(echo, limits=Limits(head_timeout=1.0)) as api:
        pool = urllib3.HTTPConnectionPool(*urlsplit(api.url).netloc.split(":"), maxsize=1, retries=False)
        assert pool.request("GET", "/healthz").status == 200
        time.sleep(1.5)
        assert pool.request("GET", "/healthz").status == 200
        assert (pool.num_connections, pool.num_requests) == (1, 2)
        pool.close()


def test_malformed_http_is_answered_in_json(api):
    for garbage in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"):
        head, _, body = raw(api, garbage).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"content-type: application/json" in head
        assert json.loads(body)["code"] == "invalid_http"


def test_calls_beyond_the_limit_get_429(monkeypatch):
    entered, leave = [], threading.Event()

    def stay(query):
        entered.append(query)
        leave.wait(100)
        return []

    with RunbookServer([echo], limits=Limits(max_calls=2)) as server:
        api = Client(server)
        monkeypatch.setattr(server._lifecycle.services.store, "runs", stay)
        waiting = [threading.Thread(target=api.get, args=("/runs/list",)) for _ in range(2)]
        for thread in waiting:
            thread.start()
        eventually(lambda: len(entered) == 2)
        answer = api.get("/sessions/list")
        assert (answer.status, answer.code) == (429, "too_many_requests")
        assert (answer.headers["Retry-After"], answer.headers["X-Airplane-Retryable"]) == ("1", "true")
        leave.set()
        for thread in waiting:
            thread.join()
        assert api.get("/sessions/list").status == 200
        api.close()


def test_a_client_that_leaves_within_its_body_starts_nothing(api):
    before = api.get("/sessions/list").json
    body = b'{"slug": "echo"}'
    raw(api, head(api, f"Content-Length: {len(body) + 1}") + body, until_closed=False)
    assert api.get("/sessions/list").json == before


def test_an_internal_error_shows_no_internals(api, caplog, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret value")

    monkeypatch.setattr(sessions, "start", fail)
    with caplog.at_level(logging.INFO):
        for key, retryable in (("d", "true"), ("", "false")):  # without a key, doing it again might do it twice
            answer = api.post("/runbooks/execute", {"slug": "echo"}, **{"Idempotency-Key": key})
            assert (answer.status, answer.json) == (
                500,
                {"error": "the server failed to answer", "code": "internal_error"},
            )
            assert answer.headers["X-Airplane-Retryable"] == retryable
    assert "RuntimeError" in caplog.text
    assert "secret value" not in caplog.text


def test_replies_do_not_wait_for_delayed_acknowledgements():
    with started(echo) as (server, api):
        api.get("/sessions/list", limit="1")
        (connection,) = server._server.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_many_sessions_at_once_are_neither_lost_nor_doubled(api):
    started = []

    def start(number):
        started.extend((number, index, api.execute("echo", {"value": f"{number}/{index}"})) for index in range(25))

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({session_id for _, _, session_id in started}) == 200
    for number, index, session_id in started:
        api.reaches(session_id, "Succeeded")
        assert [api.output(run) for run in api.runs(session_id)] == [f"{number}/{index}"]
