"""Observers for tests."""

from __future__ import annotations

import threading

from tests.support.servers import eventually


class Recorder:
    """An observer that keeps the events of life cycles, without those of requests."""

    def __init__(self):
        self.events = []
        self.changed = threading.Condition()

    def observe(self, event, /):
        if not type(event).__name__.startswith("Request"):
            self.events.append(event)

    def names(self):
        return [type(event).__name__ for event in self.events]

    def reaches(self, *names):
        """Wait until these events, and no others, have been observed."""
        eventually(lambda: len(self.events) >= len(names))
        assert self.names() == list(names)

    def of(self, name):
        return [event for event in self.events if type(event).__name__ == name]


class Raising:
    """An observer whose methods raise."""

    def observe(self, event, /):
        raise ValueError("tkn_secret")

    def enclose(self, event, /):
        raise ValueError("tkn_secret")


class Hanging:
    """An observer that never returns from its first event, until it is released."""

    def __init__(self):
        self.released = threading.Event()

    def observe(self, event, /):
        self.released.wait()
