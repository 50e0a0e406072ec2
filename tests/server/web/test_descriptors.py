"""The limit of file descriptors at the start of a server."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from airplane_runbooks.server import Limits
from airplane_runbooks.server.web import descriptors

INFINITE = -1
LIMITS = Limits(max_connections=400, max_waiting=1_000)  # 1,600 descriptors


class Resource(SimpleNamespace):
    """The module `resource` of a process with these limits."""

    RLIMIT_NOFILE, RLIM_INFINITY = 7, INFINITE

    def getrlimit(self, _kind):
        return self.soft, self.hard

    def setrlimit(self, _kind, limits):
        if self.refuses:
            raise ValueError
        self.soft, self.hard = limits


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (256, INFINITE, 1_600),
        (256, 5_000, 1_600),
        (256, 1_000, 1_000),
        (1_000, 1_000, 1_000),
        (2_000, 5_000, 2_000),
        (INFINITE, INFINITE, INFINITE),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed(monkeypatch, caplog, soft, hard, after):
    process = Resource(soft=soft, hard=hard, refuses=False)
    monkeypatch.setattr(descriptors, "resource", process)
    descriptors.make_room(LIMITS)
    assert (process.soft, process.hard) == (after, hard)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * (after == 1_000)


def test_a_limit_that_cannot_be_raised_is_named(monkeypatch, caplog):
    monkeypatch.setattr(descriptors, "resource", Resource(soft=256, hard=INFINITE, refuses=True))
    descriptors.make_room(LIMITS)
    assert "may open 256 files, and 1400 connections and long polls need 1600" in caplog.text


def test_a_system_without_such_a_limit_is_left_alone(monkeypatch, caplog):
    monkeypatch.setattr(descriptors, "resource", None)
    descriptors.make_room(LIMITS)
    assert not caplog.records
