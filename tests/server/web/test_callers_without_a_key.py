"""Callers without a key cannot keep out those who have one, over real sockets."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from airplane_runbooks.server import Context, Limits, RunbookServer, User, create_app, runbook
from airplane_runbooks.server.storage.ids import API_USER
from airplane_runbooks.server.web import failed_logins
from tests.support import servers
from tests.support.browsing import Browser
from tests.support.processes import running
from tests.support.servers import Client, eventually

pytestmark = pytest.mark.once

KEY = "tkn_5d41402abc4b2a76"


@runbook
def ask(context: Context, text: str = "") -> bool:
    """Ask one thing."""
    return context.prompt(f"Well? {text}", sure=bool)["sure"]


started = partial(servers.started, ask)


@pytest.fixture(scope="module")
def served():
    with started() as (server, client):
        yield server, client


def dial(url):
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=100)


def head(path, *lines, method="POST"):
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


def status_of(reply):
    return int(reply.split(b" ", 2)[1])


LENGTH = "Content-Length: 100"
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize("framing", [LENGTH, pytest.param("Transfer-Encoding: chunked", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "path", ["/sign-in", "/sign-out", "/prompts/pmt1", "/nope", "/v0/nope", "/v0/runbooks/execute", "/ext/v0/nope"]
)
def test_bodies_that_never_arrive_do_not_block_users(path, framing):
    with started() as (server, client), contextlib.ExitStack() as connections:
        for _ in range(300):
            connection = connections.enter_context(dial(client.url))
            connection.sendall(head(path, FORM, framing) + (b"k" if framing == LENGTH else b"1\r\nk\r\n"))
        person = Browser(server.base_url)
        for _ in range(5):
            assert client.get("/sessions/list").status == 200
            assert client.post("/runbooks/execute", {"slug": "ask"}).status == 200
            assert person.sign_in(server.api_key).status == 303
            assert person.get("/").status == 200
        person.close()


def test_a_user_who_sends_no_body_blocks_only_that_user():
    ada = User("ada@example.com", "tkn_ada_1")
    limits = Limits(max_calls=20, body_timeout=200)
    with started(users=[ada], limits=limits) as (server, client), contextlib.ExitStack() as connections:
        lines = (f"X-Airplane-API-Key: {server.api_key}", LENGTH)
        for _ in range(20):
            connection = connections.enter_context(dial(client.url))
            connection.sendall(head("/v0/runbooks/execute", *lines) + b"{")
        refused = eventually(lambda: (answer := client.post("/runbooks/execute")).status == 429 and answer)
        assert (refused.code, refused.headers["Retry-After"]) == ("too_many_requests", "1")
        assert client.get("/sessions/list").status == 200
        hers = Client(server, **{"X-Airplane-API-Key": "tkn_ada_1"})
        assert hers.post("/runbooks/execute", {"slug": "ask"}).status == 200
        hers.close()


def test_a_call_takes_a_place_once_its_body_has_arrived():
    with started(limits=Limits(max_calls=2)) as (server, client), contextlib.ExitStack() as connections:
        lines = (f"X-Airplane-API-Key: {server.api_key}", LENGTH)
        for _ in range(2):
            connection = connections.enter_context(dial(client.url))
            connection.sendall(head("/v0/runbooks/execute", *lines) + b"{")
        for _ in range(5):
            assert client.get("/sessions/list").status == 200


def test_the_oldest_pending_sign_in_form_makes_room():
    with started() as (_, client), contextlib.ExitStack() as connections:
        forms = [connections.enter_context(dial(client.url)) for _ in range(65)]
        for form in forms:
            form.sendall(head("/sign-in", FORM, LENGTH) + b"key=")
        first, last = forms[0], forms[-1]
        assert status_of(first.recv(65536)) == 408
        last.sendall(b"x" * 96)
        assert status_of(last.recv(65536)) == 403


def resident(pid):
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


SERVES = f"""
import sys
from airplane_runbooks.server import RunbookServer
with RunbookServer([], api_key="{KEY}") as server:
    print(server.base_url, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as on Linux")
@pytest.mark.parametrize(
    ("path", "chunked"),
    [
        pytest.param("/prompts/x", False, marks=pytest.mark.nightly),
        ("/prompts/x", True),
        pytest.param("/sign-in", True, marks=pytest.mark.nightly),
        pytest.param("/v0/runbooks/execute", False, marks=pytest.mark.nightly),
    ],
)
def test_large_bodies_without_a_key_cost_no_memory(path, chunked):
    size, part = 8 * 1024 * 1024, b"x" * 65536
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    with running([sys.executable, "-c", SERVES], stdin=subprocess.PIPE) as process, contextlib.ExitStack() as stack:
        url = process.stdout.readline().strip()
        urllib3.request("GET", url + "/warm")
        before = resident(process.pid)
        posts = [stack.enter_context(dial(url)) for _ in range(40)]
        for post in posts:
            post.sendall(head(path, FORM, framing))
        for _ in range(size // len(part)):
            for post in posts:
                with contextlib.suppress(OSError):  # those who are refused may be cut off
                    post.sendall(b"10000\r\n" + part + b"\r\n" if chunked else part)
        statuses = {status_of(reply) for post in posts if (reply := _received(post))}
        assert statuses <= {401, 403, 404, 408, 413}
        assert statuses
        assert resident(process.pid) - before < 40_000_000
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait(100)


def _received(connection):
    try:
        return connection.recv(65536)
    except OSError:
        return b""


STARVED = f"""
import resource, sys
from airplane_runbooks.server import RunbookServer
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with RunbookServer([], api_key="{KEY}") as server:
    print(server.base_url, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_running_out_of_descriptors_is_logged_once_and_passes():
    process = running([sys.executable, "-c", STARVED], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    with process as process, contextlib.ExitStack() as stack:
        url = process.stdout.readline().strip()
        for _ in range(100):
            stack.enter_context(dial(url))
        time.sleep(2.5)  # in which it tries twice more
        headers = {"X-Airplane-API-Key": KEY}
        assert urllib3.request("GET", f"{url}/sessions/list", headers=headers, timeout=100).status == 200
        _, errors = process.communicate("\n", timeout=100)
    assert len(errors.splitlines()) == 2
    assert errors.startswith("this process may open 64 files")
    assert errors.splitlines()[1].startswith("connections cannot be accepted for now")


def wrong(client, number, **headers):
    headers = {"X-Airplane-API-Key": f"tkn_wrong_{number}", **headers}
    return urllib3.request("GET", f"{client.url}/sessions/list", headers=headers, retries=False)


def test_wrong_keys_count_at_the_api_and_at_the_sign_in():
    with started() as (server, client):
        statuses = [wrong(client, 1).status for _ in range(failed_logins.MAX_PER_KEY)]
        assert statuses == [401] * len(statuses)
        put_off = eventually(lambda: (reply := wrong(client, 1)).status == 429 and reply)
        assert put_off.json()["code"] == "too_many_wrong_keys"
        assert put_off.headers["X-Airplane-Retryable"] == "false"
        assert int(put_off.headers["Retry-After"]) >= 1
        person = Browser(server.base_url)
        assert eventually(lambda: person.sign_in("tkn_wrong_1").status == 429)
        assert person.sign_in("tkn_wrong_2").status == 403
        assert person.sign_in(server.api_key).status == 303
        assert client.get("/sessions/list").status == 200
        person.close()


def test_all_failed_logins_together_are_limited():
    with started() as (_, client):
        numbers = itertools.count()
        statuses = [wrong(client, next(numbers)).status for _ in range(failed_logins.MAX_IN_ALL)]
        assert set(statuses) == {401}
        assert eventually(lambda: wrong(client, next(numbers)).status == 429)
        assert client.get("/sessions/list").status == 200


def test_failed_logins_are_limited_by_address_behind_a_proxy():
    with started(trusted_proxies=["127.0.0.1"]) as (_, client):
        for number in range(failed_logins.MAX_PER_ADDRESS):
            assert wrong(client, number, **{"X-Forwarded-For": "192.0.2.7"}).status == 401
        forged = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}
        assert eventually(lambda: wrong(client, 98, **forged).status == 429)
        assert wrong(client, 99, **{"X-Forwarded-For": "192.0.2.7, 203.0.113.9"}).status == 401
        good = urllib3.request(
            "GET", f"{client.url}/sessions/list", headers={**client.headers, "X-Forwarded-For": "192.0.2.7"}
        )
        assert good.status == 200


def test_token_buckets_are_limited_in_number():
    buckets = failed_logins.TokenBuckets(1, lambda: 0.0)
    for number in range(20_000):
        buckets.take(str(number))
    assert len(buckets) == 10_000


def test_token_buckets_are_refilled_over_time():
    moment = 0.0
    buckets = failed_logins.TokenBuckets(20, lambda: moment)
    for _ in range(20):
        assert not buckets.wait("x")
        buckets.take("x")
    assert buckets.wait("x") == pytest.approx(3.0)
    moment = 3.1
    assert not buckets.wait("x")


def test_every_sign_in_is_logged_without_its_key(served, caplog):
    server, _ = served
    person = Browser(server.base_url)
    with caplog.at_level(logging.INFO, "airplane_runbooks.server"):
        person.sign_in("tkn_not_right")
        person.sign_in(server.api_key)
    person.close()
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "sign in refused address=127.0.0.1 reason=unauthorized",
        f"signed in caller={API_USER} address=127.0.0.1",
    ]


def test_failed_logins_of_one_ipv6_network_count_together():
    counted = failed_logins.FailedLoginLimiter(by_address=True)
    answers = [counted.count(str(n), f"2001:db8::{n:x}").status for n in range(failed_logins.MAX_PER_ADDRESS + 1)]
    assert answers[-2:] == [401, 429]


@pytest.mark.parametrize("options", [{"host": "0.0.0.0"}, {"public_url": "https://runbooks.example.com"}])
def test_short_keys_are_refused_on_a_reachable_server(options):
    with pytest.raises(ValueError, match="api_key has fewer than 16 characters; make one by python -c") as refused:
        RunbookServer([], api_key="tkn_short", **options)
    assert "tkn_short" not in str(refused.value)
    with pytest.raises(ValueError, match=r"the key of grace@example\.com in users has fewer than 16"):
        RunbookServer([], api_key=KEY, users=[User("grace@example.com", "g")], **options)
    with pytest.raises(ValueError, match="api_key"):
        RunbookServer([], api_key=[KEY, "tkn_old"], **options)
    RunbookServer([], api_key=KEY, users=[User("grace@example.com", "g" * 16)], **options)


def test_a_server_on_loopback_accepts_short_keys():
    RunbookServer([], api_key="x", users=[User("grace@example.com", "g")])


def test_an_application_without_a_public_url_logs_a_warning(caplog):
    with pytest.raises(ValueError, match="api_key has fewer"):
        create_app([], api_key="x", public_url="https://runbooks.example.com")
    assert not caplog.records
    create_app([], api_key="x")
    assert "create_app has no public_url" in caplog.text


def test_two_api_keys_are_valid_during_a_rotation():
    old = "tkn_7d793037a0760186"
    with RunbookServer([ask], api_key=[KEY, old], host="0.0.0.0") as server:
        url = server.base_url.replace("0.0.0.0", "127.0.0.1")
        assert server.api_key == KEY
        for key, status in ((KEY, 200), (old, 200), ("tkn_other", 401)):
            reply = urllib3.request("GET", f"{url}/sessions/list", headers={"X-Airplane-API-Key": key})
            assert reply.status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/sessions/get?id=ses1"),
        ("GET", "/sessions/list"),
        ("GET", "/prompts/get?id=pmt1"),
        ("GET", "/runs/list"),
        ("POST", "/runbooks/execute"),
        ("POST", "/tasks/execute"),
        ("POST", "/prompts/submit"),
        ("POST", "/sessions/get"),
        ("POST", "/"),
    ],
)
@pytest.mark.parametrize("how", ["key", "json", "neither"])
def test_a_base_url_without_the_version_gets_a_hint(served, method, path, how):
    _, client = served
    headers = {"key": client.headers, "json": {"Accept": "application/json"}, "neither": {}}[how]
    if how == "neither" and path == "/":
        pytest.skip("that may be a browser")
    root = client.url.removesuffix("/v0")
    reply = urllib3.request(method, root + path, headers=headers, redirect=False)
    assert (reply.status, reply.json()["code"]) == (404, "route_not_found")
    assert "/v0" in reply.json()["error"]
    assert reply.headers["Content-Type"] == "application/json"


def test_a_browser_is_redirected_to_the_sign_in(served):
    server, _ = served
    person = Browser(server.base_url)
    accept = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    assert person.get("/", **accept).location == "/sign-in?next=%2F"
    person.close()


def test_no_reply_is_cached_or_sniffed(served):
    _, client = served
    root = client.url.removesuffix("/v0")
    replies = [
        urllib3.request("GET", f"{client.url}/sessions/list", headers=client.headers),
        urllib3.request("GET", f"{client.url}/sessions/get", headers=client.headers),
        urllib3.request("GET", f"{client.url}/nope", headers=client.headers),
        urllib3.request("POST", f"{client.url}/sessions/list", headers=client.headers),
        unauthorized := urllib3.request("GET", f"{client.url}/sessions/list"),
        *(urllib3.request("GET", root + path) for path in ("/healthz", "/readyz", "/nope")),
        urllib3.request("GET", root + "/healthz", headers={"X-Long": "x" * 15_000, "X-Longer": "x" * 15_000}),
    ]
    for reply in replies:
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
    assert unauthorized.headers["WWW-Authenticate"].startswith("ApiKey ")
    with dial(client.url) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        raw = connection.recv(65536).lower()
    assert b"x-content-type-options: nosniff" in raw
    assert b"cache-control: no-store" in raw
