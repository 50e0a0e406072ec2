"""Ten thousand long polls that wait at a time."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.web.api import preferences
from tests.support.polling import Polls
from tests.support.servers import eventually, started

resource = pytest.importorskip("resource", reason="there is no limit of descriptors to look at")

NUMBER = 10_000
BATCH = 100
MOST_BYTES = 13_000  # for each, about 10 KB in measurements

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]


@runbook
def ask(context: Context) -> bool:
    """Ask a human."""
    return context.prompt("Go on?", go=bool)["go"]


def resident():
    """Return the bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


class Senders:
    """A process that sends long polls."""

    def __init__(self, server, polls, session_id):
        parts = urlsplit(server.base_url)
        command = [sys.executable, "-m", "tests.support.many_polls", parts.hostname, str(parts.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._polls = polls
        path = f"/sessions/get?id={session_id}"
        lines = [
            f"GET /v0{path} HTTP/1.1",
            "Host: localhost",
            "User-Agent: airplane-runbooks-python/1.0",
            "Accept: application/json",
            f"X-Airplane-API-Key: {server.api_key}",
            "Prefer: wait=3000",
            f"If-None-Match: {polls.ask(path).etag}",
        ]
        self._write("\n".join((*lines, "", "")))

    def send(self, number):
        """Send as many, and return once all of them wait."""
        for _ in range(number // BATCH):
            before = self._polls.waiting
            self._write(f"{BATCH}\n")
            assert self._process.stdout.readline() == "sent\n"
            eventually(lambda before=before: self._polls.waiting == before + BATCH)

    def result(self):
        """Return the numbers of replies."""
        self._write("0\n")
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _write(self, text):
        self._process.stdin.write(text)
        self._process.stdin.flush()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_ten_thousand_long_polls_wait_for_little(monkeypatch):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < NUMBER + 2_000:
        pytest.skip("the hard limit of descriptors is too low")
    monkeypatch.setattr(preferences, "LONGEST_WAIT", 3_000)
    with started(ask) as (server, client), closing(Polls(server, client)) as polls:
        session_id = client.execute("ask")
        client.reaches(session_id, "Waiting")
        with closing(Senders(server, polls, session_id)) as senders:
            senders.send(500)
            gc.collect()
            before = resident()
            senders.send(NUMBER - 500)
            gc.collect()
            assert (resident() - before) / (NUMBER - 500) < MOST_BYTES
            statements = []

            def executed(connection, cursor, statement, *_):
                if threading.current_thread().name.startswith("runbook-api"):
                    statements.append(statement)

            engine = server._lifecycle.services.store.database.sqlalchemy_engine
            sa.event.listen(engine, "before_cursor_execute", executed)
            time.sleep(3)
            assert (statements, polls.waiting) == ([], NUMBER)
            stopping = threading.Thread(target=server.close)
            stopping.start()
            replies = senders.result()
            stopping.join()
        assert replies == {"statuses": {"304": NUMBER}, "closing": NUMBER}
