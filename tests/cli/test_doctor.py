"""The command `doctor`: it finds each problem, and says what to do about it."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress

import pytest
import trustme

from airplane_runbooks import BadRequest, ConfigurationError, DeadlineExceeded, Forbidden, Headers, InvalidResponse
from airplane_runbooks.cli.doctor import answer_checks, clock_check, connection_check, proxy_check, version_check
from airplane_runbooks.version import __version__

URL = "https://runbooks.example.com/v0"


def test_a_sound_connection_has_nothing_wrong(command, server):
    ended = command("doctor")

    assert ended.status == 0
    assert ended.err.splitlines() == [
        f"ok    address: {server.base_url}",
        "ok    proxy: none",
        "ok    connection: without TLS",
        "ok    key: accepted",
        "ok    clock: agrees with the server's",
        f"ok    version: server {__version__}, client {__version__}",
    ]


def test_a_wrong_key_is_found_and_not_shown(command):
    ended = command("doctor", "--json", AIRPLANE_API_KEY="tkn_not_the_right_one")

    problems = [document for document in ended.documents if not document["ok"]]
    assert ended.status == 3
    assert [problem["check"] for problem in problems] == ["key", "version"]
    assert problems[0]["advice"].startswith("Set AIRPLANE_API_KEY")
    assert "tkn_not" not in ended.out


def test_a_server_that_does_not_run_is_found(command):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = command("doctor", "--base-url", f"http://127.0.0.1:{port}/v0")

    assert ended.status == 3
    assert f"Check that the server runs, and that 127.0.0.1:{port} is its address." in ended.err


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
    assert "name its file in SSL_CERT_FILE" in ended.err


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


def test_an_answer_other_than_success_has_its_advice():
    forbidden, other = (list(answer_checks(URL, kind(400, "no")))[-1] for kind in (Forbidden, BadRequest))

    assert forbidden.advice == "Ask for permission, or use the key of another user."
    assert other.advice.startswith("Check that the address ends in /v0")
    doubled = list(answer_checks(f"{URL}/v0", BadRequest(404, "no")))[-1]
    assert doubled.advice.startswith("Leave /v0 out of AIRPLANE_API_HOST")


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
