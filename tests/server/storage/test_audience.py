"""Notifications are sent while another server may hear them."""

from __future__ import annotations

import pytest

from airplane_runbooks.server.storage import audience
from airplane_runbooks.server.storage.audience import MEMORY, Audience


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(audience, "time", clock)
    return clock


@pytest.fixture
def sent():
    return []


@pytest.fixture
def others(clock, sent):
    return Audience(lambda channel, texts: sent.append((channel, texts)))


def test_all_is_sent_as_long_as_others_cannot_be_heard(others, clock, sent):
    others.heard()
    clock.now += 10 * MEMORY
    others.tell("one", ["a"])
    assert sent == [("one", ["a"])]


def test_all_is_sent_until_others_would_have_been_heard(others, clock, sent):
    others.set_listening(listening=True)
    clock.now += MEMORY - 1
    others.tell("one", ["a"])
    clock.now += 1
    others.tell("one", ["b"])
    assert sent == [("one", ["a"])]


def test_all_is_sent_as_long_as_others_are_heard(others, clock, sent):
    others.set_listening(listening=True)
    for _ in range(3):
        clock.now += MEMORY - 1
        others.heard()
    clock.now += MEMORY - 1
    others.tell("one", ["a"])
    assert sent == [("one", ["a"])]


@pytest.mark.parametrize("notice", [Audience.heard, lambda others: others.set_listening(listening=False)])
def test_what_was_withheld_is_said_to_be_missed(others, clock, sent, notice):
    others.set_listening(listening=True)
    clock.now += MEMORY
    for text in ("a", "b"):
        others.tell("one", [text])
        others.tell("other", [text])
    assert sent == []
    notice(others)
    assert sorted(sent) == [("one", None), ("other", None)]
    notice(others)
    others.tell("one", ["c"])
    assert sent[2:] == [("one", ["c"])]
