"""Servers in processes of their own, from a few lines of source, which a supervisor starts again when they die."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from types import SimpleNamespace

import urllib3

from tests.support.servers import Client

KEY = "tkn_supervised"

_BEFORE = """
import faulthandler, os, signal, subprocess, sys, time
from pathlib import Path
from airplane_runbooks.server import Context, runbook, serve

DATABASE, PORT, FOLDER = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])

def note(text):
    with (FOLDER / "notes").open("a") as notes:
        notes.write(text + chr(10))
"""
_AFTER = """
serve(BOOKS, database=DATABASE, port=PORT, api_key="tkn_supervised", **globals().get("OPTIONS", {}))
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Supervised:
    """A server whose source defines `BOOKS`, and `OPTIONS` if it likes; `first` is executed before any import."""

    def __init__(self, source, database, folder, first=""):
        self.port = free_port()
        self.folder = folder
        program = folder / f"server-{self.port}.py"
        program.write_text(first + _BEFORE + textwrap.dedent(source) + _AFTER)
        self.log = (folder / f"log-{self.port}").open("ab")
        self._command = [sys.executable, str(program), database, str(self.port), str(folder)]
        self.process = None
        self.starts = 0
        self.client = Client(SimpleNamespace(base_url=f"http://127.0.0.1:{self.port}/v0", api_key=KEY))

    @property
    def notes(self):
        path = self.folder / "notes"
        return path.read_text().split() if path.exists() else []

    def start(self, patience=100):
        """Start it, and return once it answers."""
        self.restart()
        give_up = time.monotonic() + patience
        while not self.answers():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < give_up, self.output()
            time.sleep(0.02)
        return self.client

    def restart(self):
        self.process = subprocess.Popen(self._command, stdout=self.log, stderr=self.log)
        self.starts += 1

    def answers(self):
        try:
            return (
                urllib3.request("GET", f"http://127.0.0.1:{self.port}/readyz", retries=False, timeout=10).status == 200
            )
        except urllib3.exceptions.HTTPError:
            return False

    def watch(self):
        """Start it again if it has died."""
        if self.process.poll() is not None:
            self.restart()

    def statuses(self, session_ids):
        """Return the sessions' statuses, or None if the server does not answer."""
        try:
            return [self.client.session(session_id)["status"] for session_id in session_ids]
        except (urllib3.exceptions.HTTPError, OSError):
            return None

    def output(self):
        return (self.folder / f"log-{self.port}").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, patience=100):
        """End it as an operator would, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def close(self):
        if self.process is not None:
            self.kill()
        self.log.close()
        self.client.close()


@contextmanager
def supervised(source, database, folder, count=1, first=("",)):
    """Run servers on one database, and end them all."""
    servers = [Supervised(source, database, folder, first[number % len(first)]) for number in range(count)]
    try:
        for server in servers:  # one after the other: the first one makes the tables
            server.start()
        yield servers
    finally:
        for server in servers:
            server.close()
