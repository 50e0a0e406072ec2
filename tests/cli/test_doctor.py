"""The command `doctor`: it finds each problem, and says what to do about it."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from airplane_runbooks import BadRequest, ConfigurationError, DeadlineExceeded, Forbidden, Headers, InvalidResponse
from airplane_runbooks.cli.doctor import (
    Check,
    answer_checks,
    clock_check,
    connection_check,
    proxy_check,
    ready_check,
    version_check,
)
from airplane_runbooks.server import RunbookServer
from airplane_runbooks.version import __version__

URL = "https://runbooks.example.com/v0"


def test_a_sound_connection_has_nothing_wrong(command, server):
    ended = command("doctor")

    assert ended.status == 0
    assert ended.out.splitlines() == [
        f"ok    address: {server.base_url}",
        "ok    proxy: none",
        "ok    connection: without TLS",
        "ok    key: accepted",
        "ok    clock: agrees with the server's",
        f"ok    version: server {__version__}, client {__version__}",
        "ok    ready: the server can work",
    ]


def test_a_wrong_key_is_found_and_not_shown(command):
    ended = command("doctor", "--json", AIRPLANE_API_KEY="tkn_not_the_right_one")

    problems = [document for document in ended.documents if not document["ok"]]
    assert ended.status == 3
    assert [problem["check"] for problem in problems] == ["key"]
    assert problems[0]["advice"].startswith("Set AIRPLANE_API_KEY")
    assert "tkn_not" not in ended.out


def test_a_missing_key_is_found_after_all_other_checks(command):
    ended = command("doctor", AIRPLANE_API_KEY=None)

    assert ended.status == 3
    assert ended.out.splitlines()[2:] == [
        "ok    connection: without TLS",
        "wrong key: missing",
        "       Set AIRPLANE_API_KEY, or --api-key-file, to a key of this server.",
        "ok    clock: agrees with the server's",
        "ok    ready: the server can work",
    ]


def test_a_server_that_cannot_work_is_found(command, tmp_path):
    path = tmp_path / "runbooks.db"
    with RunbookServer([], database=f"sqlite:///{path}", api_key="tkn_of_the_doctor") as server:
        path.unlink()
        ended = command("doctor", "--json", "--base-url", server.base_url, AIRPLANE_API_KEY="tkn_of_the_doctor")

    (problem,) = (document for document in ended.documents if not document["ok"])
    assert ended.status == 3
    assert problem["found"] == "503: the database cannot be written to [store_unavailable]"
    assert "the server's log" in problem["advice"]


@pytest.mark.parametrize("url", ["http+unix://%2Frun%2Frunbooks.sock/v0", "http://127.0.0.1:1/v0"])
def test_a_server_that_does_not_tell_is_not_blamed(url):
    assert ready_check(url) == Check("ready", ok=True, found="the server does not tell")


def test_a_missing_key_hides_no_other_problem():
    (_, other) = answer_checks(URL, BadRequest(502, "bad gateway"), is_keyed=False)

    assert (other.check, other.ok) == ("answer", False)


def test_a_server_that_does_not_run_is_found(command):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = command("doctor", "--base-url", f"http://127.0.0.1:{port}/v0")

    assert ended.status == 3
    assert f"Check that the server runs, and that 127.0.0.1:{port} is its address." in ended.out


def test_a_certificate_of_an_unknown_authority_is_found(command):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def shake_hands():
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake_hands, daemon=True)
        thread.start()
        ended = command("doctor", "--base-url", f"https://localhost:{listener.getsockname()[1]}/v0")

    assert ended.status == 3
    assert "name its file in SSL_CERT_FILE" in ended.out


@pytest.mark.parametrize(
    ("proxies", "found"),
    [
        ({}, "none"),
        ({"https": "http://user:secret@proxy:3128"}, "proxy:3128"),
        ({"all": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https": "http://proxy:3128", "no": "example.com"}, "none for this host, by no_proxy"),
    ],
)
def test_the_proxy_is_named_without_its_password(proxies, found):
    check = proxy_check(URL, proxies)

    assert (check.ok, check.found) == (True, found)


def test_a_server_on_this_machine_needs_no_proxy():
    assert proxy_check("http://localhost:8080/v0", {"http": "http://proxy:3128"}).found == "none"
    assert proxy_check("http+unix://%2Frun%2Frunbooks.sock/v0", {"all": "http://proxy:3128"}).found == "none"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ConfigurationError("http_proxy: a proxy must be an http or https URL"), "Mend the setting"),
        (InvalidResponse("not HTTP"), "Check that an API of runbooks answers there"),
        (DeadlineExceeded("late"), "Try again."),
    ],
    ids=lambda part: type(part).__name__,
)
def test_each_kind_of_failure_has_its_advice(error, advice):
    check = connection_check(URL, error)

    assert not check.ok
    assert check.advice.startswith(advice)


def answer_check(url, error):
    return list(answer_checks(url, error))[-1]


def of_the_api(status, code=None):
    return BadRequest(status, "no", code=code, headers=Headers({"content-type": "application/json"}))


def of_a_proxy(status, **headers):
    return BadRequest(status, "404 Not Found 404 Not Found", headers=Headers({"server": "nginx/1.22.1", **headers}))


def test_an_answer_other_than_success_has_its_advice():
    assert answer_check(URL, Forbidden(403, "no")).advice == "Ask for permission, or use the key of another user."
    other = answer_check(URL, of_the_api(400, "bad"))
    assert (other.found, other.ok) == ("400: no [bad]", False)
    assert other.advice.startswith("Check that the address ends in /v0")
    assert answer_check(f"{URL}/v0", of_the_api(404)).advice.startswith("Leave /v0 out of AIRPLANE_API_HOST")


def test_a_page_is_told_from_an_answer_of_the_api():
    check = answer_check(URL, of_a_proxy(404))

    assert check.found == "404, not from the API but from nginx/1.22.1"
    assert "prefix is missing or wrong, as in https://runbooks.example.com/tools/v0." in check.advice
    nameless = answer_check(URL, BadRequest(404, "no"))
    assert nameless.found == "404, not from the API but from a server without a name"


def test_an_address_without_the_version_is_found_first():
    without = answer_check("https://runbooks.example.com/tools", of_a_proxy(404))
    assert without.advice.startswith("Check that the address ends in /v0")


def test_a_prefix_that_the_server_does_not_know_is_found():
    url = "https://runbooks.example.com/tools/v0"
    advice = answer_check(url, of_the_api(404, "route_not_found")).advice

    assert advice.endswith("set its public_url to https://runbooks.example.com/tools.")
    assert answer_check(URL, of_the_api(404, "route_not_found")).advice.startswith("Check that the address ends")


def test_a_proxy_without_its_server_is_found():
    assert answer_check(URL, of_a_proxy(502)).advice.startswith("The proxy answers, and the server behind it does not")
    assert answer_check(URL, of_the_api(503)).advice.endswith("its /readyz says so.")


@pytest.mark.parametrize(
    ("location", "advice"),
    [
        ("https://a.example/tools/v0/sessions/list?limit=1", "is the one to use: https://a.example/tools/v0."),
        ("/tools/v0/sessions/list", "is the one to use: https://runbooks.example.com/tools/v0."),
        ("https://login.example/?next=runbooks", "redirects to https://login.example/?next=runbooks. Let the proxy"),
        ("http://[", "redirects to http://[. Let the proxy"),
    ],
)
def test_a_redirect_is_named(location, advice):
    assert advice in answer_check(URL, of_a_proxy(308, location=location)).advice


def test_the_checks_end_with_the_page_of_a_proxy(command):
    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(502)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        ended = command("doctor", "--json", "--base-url", f"http://127.0.0.1:{proxy.server_port}/v0")
        proxy.shutdown()

    assert ended.status == 3
    assert [document["check"] for document in ended.documents] == ["address", "proxy", "connection", "answer"]
    assert ended.documents[-1]["found"].startswith("502, not from the API but from BaseHTTP")


DATE = "Thu, 01 Jan 1970 00:16:40 GMT"  # 1000 s after the epoch


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (1000.0, 1001.0, "agrees with the server's"),
        (1020.0, 1021.0, "agrees with the server's"),
        (990.0, 1010.0, "agrees with the server's"),
        (1301.0, 1302.0, "300 s ahead of the server's"),
        (399.0, 400.0, "600 s behind the server's"),
    ],
)
def test_a_clock_that_differs_is_found(before, after, found):
    check = clock_check(Headers({"date": DATE}), before, after)

    assert (check.ok, check.found) == ("agrees" in found, found)


@pytest.mark.parametrize("date", [{}, {"date": "soon"}], ids=["missing", "malformed"])
def test_a_server_may_keep_its_time_to_itself(date):
    assert clock_check(Headers(date), 0.0, 1.0).ok


@pytest.mark.parametrize(("server", "ok"), [("1.2.3", True), ("1.2.0", True), ("1.3.0", False), ("", False)])
def test_versions_that_differ_are_found(server, ok):
    assert version_check(server, "1.2.3").ok is ok
