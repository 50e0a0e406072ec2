"""Messages to webhooks while their server is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

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


@pytest.mark.nightly
def test_each_end_is_told_although_the_server_is_killed(database):
    started = set()
    with Hanging() as receiver:
        for kill in range(KILLS + 1):
            before = len(receiver.messages)
            count = SESSIONS if kill < KILLS else 0
            command = [sys.executable, "-c", WORKER, database, receiver.url, SECRET, str(count)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
                try:
                    for line in server.stdout:
                        if line.strip() == "ready":
                            break
                        started.add(line.strip())
                    receiver.wait_for(before + 1)
                    if kill == KILLS:
                        receiver.is_answering.set()
                        receiver.wait_until(lambda messages: started <= told(messages))
                finally:
                    os.kill(server.pid, signal.SIGKILL)

    assert len(started) == KILLS * SESSIONS
    assert told(receiver.messages) == started
    bodies = {message.id: message.body for message in receiver.messages}
    assert len(bodies) == len(started)
    assert all(bodies[message.id] == message.body for message in receiver.messages)
    assert len(receiver.messages) > len(started)  # some were in flight when the server was killed


def told(messages):
    events = [webhooks.verify(message.body, message.headers, SECRET, tolerance=3600) for message in messages]
    return {event.data.session.id for event in events}
