"""Helpers of the tests of engines: some in processes of their own, and work that notes what it is called with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from airplane_runbooks.server.storage.interface import Answer
from tests.support.servers import eventually

CHILD = Path(__file__).with_name("engine_child.py")


class Child:
    """An engine in a process of its own, which writes to a journal what it works on."""

    def __init__(self, url, journal):
        self.journal = Path(journal)
        command = [sys.executable, str(CHILD), url, str(journal)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "open\n"

    def tell(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self):
        """Let the interpreter exit by itself, and return its status."""
        self.process.stdin.close()
        return self.process.wait(100)

    def close(self):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


class Journal:
    """Log of the work of child processes, and the files that keep them busy."""

    def __init__(self, path):
        self.path = path

    def entries(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [tuple(line.split()) for line in lines]

    def count(self, event, job_id):
        return sum(entry[:2] == (event, job_id) for entry in self.entries())

    def by(self, event, job_id):
        return [int(pid) for one, other, pid in self.entries() if (one, other) == (event, job_id)]

    def awaits(self, event, job_id, times=1):
        eventually(lambda: self.count(event, job_id) >= times, deadline=100)

    def hold(self, job_id):
        Path(f"{self.path}.{job_id}").touch()

    def let_go(self, job_id):
        Path(f"{self.path}.{job_id}").unlink()


@contextmanager
def children():
    """Yield what starts children, and end them all."""
    started = []

    def start(url, journal):
        started.append(Child(url, journal))
        return started[-1]

    try:
        yield start
    finally:
        for child in started:
            child.close()


def saying(values, sealed=None):
    """Return a decision to answer any prompt with these values, None to cancel it."""
    return lambda prompt, root: Answer(values, sealed)


class NothingHeld:
    """Holds nothing, as if all servers had the same code."""

    def look(self):
        pass

    def share(self, due):
        return [run.job_id for run in due], []


class Worker:
    """Work that notes what it is called with, in this process."""

    def __init__(self):
        self.calls = Counter()
        self.threads = set()
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()

    def __call__(self, job_id, **_):
        self.calls[job_id] += 1
        self.threads.add(threading.current_thread())
        self.entered.set()
        assert self.free.wait(100)
        return False
