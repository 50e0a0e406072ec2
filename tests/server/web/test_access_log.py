"""The access log: a line for each request, without values."""

from __future__ import annotations

import logging
import re
import socket
from urllib.parse import urlsplit

import pytest
import urllib3

from airplane_runbooks.server import Context, RunbookServer, User, runbook
from tests.support.browsing import Browser
from tests.support.servers import Client
from tests.support.timing import eventually

pytestmark = pytest.mark.once

ADA = User("ada@example.com", "tkn_ada_7d793037a076")
LOGGER = "airplane_runbooks.server.access"


@runbook
def ask(context: Context, secret: str) -> str:
    """Ask one thing."""
    return f"{secret} {context.prompt('Well?', sure=bool)['sure']}"


@pytest.fixture
def entries(caplog):
    """Return a function that waits for a number of lines, and returns their records."""
    caplog.set_level(logging.INFO, LOGGER)

    def wait(number):
        eventually(lambda: len(found()) >= number)
        assert len(found()) == number
        return found()

    def found():
        return [record for record in caplog.records if record.name == LOGGER]

    return wait


@pytest.fixture
def server():
    with RunbookServer([ask], users=[ADA], access_log=True, trusted_proxies=["127.0.0.1"]) as one:
        yield one


def facts(record):
    names = ("method", "route", "status", "caller", "address")
    return tuple(getattr(record, name, None) for name in names)


def test_a_call_is_a_line_with_its_route_status_and_user(server, entries):
    api = Client(server, **{"X-Airplane-API-Key": "tkn_ada_7d793037a076"})
    api.get("/sessions/get", id="ses_of_no_one", password="hunter2")
    (record,) = entries(1)

    assert facts(record) == ("GET", "/v0/sessions/get", 404, ADA.id, "127.0.0.1")
    line = "method=GET route=/v0/sessions/get status=404 duration=[0-9.]+ address=127.0.0.1"
    assert re.fullmatch(f"request answered {line} caller={ADA.id}", record.message)
    api.close()


def test_no_line_shows_a_value_or_a_key(server, entries):
    api, person = Client(server), Browser(server.base_url, "tkn_ada_7d793037a076")
    session_id = api.execute("ask", {"secret": "hunter2"})
    person.get(f"/sessions/{session_id}?q=hunter2")
    person.get("/hunter2")
    person.get("/sign-in?next=/hunter2")
    routes = [record.route for record in entries(5) if hasattr(record, "route")]
    text = " ".join(f"{record.message} {vars(record)}" for record in entries(5))
    api.close()
    person.close()

    assert routes == ["/sign-in", "/v0/runbooks/execute", "/sessions/{id}", "/sign-in"]
    assert re.findall(f"hunter2|tkn_|{session_id}", text) == []


def test_requests_that_are_refused_early_have_lines_too(server, entries):
    address = {"X-Forwarded-For": "192.0.2.1"}
    many = {f"X-{number}": "" for number in range(120)}
    for path, headers in (("/v0/runs/list", {}), ("/v0/x", {}), ("/", {"Host": "evil.example"}), ("/", many)):
        urllib3.request("GET", server.base_url.removesuffix("/v0") + path, headers={**headers, **address})
    without_key, unknown, foreign, too_large = map(facts, entries(4))

    assert without_key == ("GET", "/v0/runs/list", 401, None, "192.0.2.1")
    assert unknown == ("GET", None, 401, None, "192.0.2.1")
    assert foreign == ("GET", "/", 421, None, "192.0.2.1")
    assert too_large == ("GET", None, 431, None, "127.0.0.1")


def test_a_long_poll_is_one_line_after_its_wait(server, entries):
    api = Client(server)
    session_id = api.execute("ask", {"secret": "x"})
    etag = api.get("/sessions/get", id=session_id).headers["ETag"]
    url, headers = f"{api.url}/sessions/get?id={session_id}", {**api.headers, "Prefer": "wait=1", "If-None-Match": etag}
    polls = 0
    while (reply := api.pool.request("GET", url, headers=headers)).status != 304:
        headers["If-None-Match"] = reply.headers["ETag"]
        polls += 1
    waited = entries(polls + 3)[-1]
    api.close()

    assert facts(waited)[:3] == ("GET", "/v0/sessions/get", 304)
    assert waited.duration >= 0.9


def test_probes_and_embedded_servers_have_no_lines(server, entries, caplog):
    urllib3.request("GET", server.base_url.replace("v0", "healthz"))
    with RunbookServer([ask]) as quiet:
        api = Client(quiet)
        api.get("/sessions/list")
        api.close()
    urllib3.request("GET", server.base_url.replace("v0", "static/runbooks.svg"))

    assert [record.route for record in entries(1)] == ["/static/runbooks.svg"]


def test_an_exchange_that_is_cut_has_a_line_without_a_status(server, entries):
    parts = urlsplit(server.base_url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST /v0/runbooks/execute HTTP/1.1\r\nHost: localhost\r\nX-Airplane-API-Key: {server.api_key}\r\n"
        connection.sendall(f"{head}Content-Length: 9\r\n\r\n".encode())
        eventually(lambda: server._server.server_state.connections)
    (record,) = entries(1)

    assert facts(record)[:2] == ("POST", "/v0/runbooks/execute")
