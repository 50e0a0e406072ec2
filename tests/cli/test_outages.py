"""A server that is away while a session is followed."""

from __future__ import annotations

import socket

import pytest

from airplane_runbooks import NO_RETRY, ConnectionLost, NotFound
from airplane_runbooks.cli.outages import Outages
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

ACTIVE = json_response({"id": "ses1", "status": "Active"})
ENDED = json_response({"id": "ses1", "status": "Succeeded"})
AWAY = json_response({"error": "the server\x1b is away"}, status=502)


def wait_through(*answers):
    """Wait for a session, of a server that gives these answers."""
    either = Either("sync", FakeTransport(list(answers)), retry=NO_RETRY, middleware=[Outages()])
    return either(lambda airplane: airplane.sessions.wait("ses1", wait_timeout=900))


def test_each_outage_is_told_once(capsys):
    lost = ConnectionLost("the connection was closed")
    wait_through(AWAY, AWAY, AWAY, AWAY, ACTIVE, lost, lost, lost, ENDED)

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("No answer for now: 502: ")
    assert r"the server\x1b is away" in first
    assert first.endswith("; still trying.")
    assert "the connection was closed" in second


def test_a_long_poll_that_was_cut_off_is_no_outage(capsys):
    wait_through(AWAY, ACTIVE, AWAY, ENDED)

    assert capsys.readouterr().err == ""


def test_a_failure_that_cannot_pass_is_left_to_the_command(capsys):
    with pytest.raises(NotFound):
        wait_through(AWAY, json_response({"error": "no such session"}, status=404))

    assert capsys.readouterr().err == ""


def test_a_server_that_is_away_is_told_while_and_after_waiting(command):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # without a listener, which refuses connections
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v0"
        ended = command("watch", "ses1", "--wait-timeout", "1", "--base-url", url)

    assert ended.status == 5
    assert ended.err.count("No answer for now: ") == 1
    assert "and was never seen; the last poll failed: " in ended.err
