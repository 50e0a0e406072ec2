"""Messages to webhooks while their server is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import takewhile

import pytest

from airplane_runbooks import webhooks
from tests.support.receivers import SECRET, HookReceiver
from tests.support.timing import PATIENCE

SESSIONS = 30
KILLS = 5

WORKER = """
import sys
from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, RunbookServer, Webhook, runbook

@runbook
def idle(context: Context) -> None:
    pass

database, url, secret, count = sys.argv[1:]
server = RunbookServer([idle], database=database, notify=[Webhook(url, secret=secret)]).start()
client = Airplane(server.api_key, base_url=server.base_url)
for _ in range(int(count)):
    print(client.runbooks.execute("idle").session_id, flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


class Hanging(HookReceiver):
    """A receiver that answers its first requests only once their sender is dead."""

    def __init__(self):
        super().__init__()
        self.is_answering = threading.Event()

    def _take(self, message):
        answer = super()._take(message)
        assert self.is_answering.wait(KILLS * PATIENCE)
        return answer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    """Return the URL of a fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runbooks.db'}"
    return request.getfixturevalue("postgres_url")


@contextmanager
def killed(database, receiver, count):
    """Run a server, yield the sessions that it has started, and kill it at the end."""
    command = [sys.executable, "-c", WORKER, database, receiver.url, SECRET, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield {line.strip() for line in takewhile(lambda line: line != "ready\n", server.stdout)}
        finally:
            os.kill(server.pid, signal.SIGKILL)


@pytest.mark.nightly
def test_each_end_is_told_although_the_server_is_killed(database):
    started = set()
    with Hanging() as receiver:
        for _ in range(KILLS):
            before = len(receiver.messages)
            with killed(database, receiver, SESSIONS) as sessions:
                started |= sessions
                receiver.wait_for(before + 1)
        unanswered = list(receiver.messages)
        receiver.is_answering.set()
        with killed(database, receiver, 0):
            # On PostgreSQL those come last: the leases of the killed servers have to lapse before.
            receiver.wait_until(lambda messages: ids(unanswered) <= ids(messages[len(unanswered) :]))
            receiver.wait_until(lambda messages: started <= told(messages))

    assert len(started) == KILLS * SESSIONS
    assert told(receiver.messages) == started
    bodies = {message.id: message.body for message in receiver.messages}
    assert len(bodies) == len(started)
    assert all(bodies[message.id] == message.body for message in receiver.messages)


def ids(messages):
    return {message.id for message in messages}


def told(messages):
    events = [webhooks.verify(message.body, message.headers, SECRET, tolerance=3600) for message in messages]
    return {event.data.session.id for event in events}
