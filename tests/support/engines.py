"""Helpers of the tests of engines: work that notes what it is called with."""

from __future__ import annotations

import threading
from collections import Counter

from airplane_runbooks.server.storage.interface import Answer


def saying(values, sealed=None):
    """Return a decision to answer any prompt with these values, None to cancel it."""
    return lambda prompt, root: Answer(values, sealed)


class NothingHeld:
    """Holds nothing, as if all servers had the same code."""

    has_news = False

    def look(self):
        pass

    def share(self, due):
        return [run.job_id for run in due]


class Alone:
    """A membership without other servers."""

    peers = frozenset()

    def join(self):
        pass

    def leave(self):
        pass

    def others(self):
        return [b"[]"]


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
