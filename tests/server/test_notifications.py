"""Notifications within one process."""

from __future__ import annotations

import pytest

from airplane_runbooks.server.notifications import LONGEST_TEXT, Notifications


def test_a_receiver_gets_the_texts_of_its_channel():
    notifications, got = Notifications(), []
    notifications.subscribe("one", got.append)
    notifications.publish("one", ["a", "b"])
    notifications.publish("other", ["c"])
    assert got == [["a", "b"]]
    assert notifications.is_complete


def test_a_receiver_that_unsubscribed_gets_nothing_more():
    notifications, kept, ended = Notifications(), [], []
    notifications.subscribe("one", kept.append)
    unsubscribe = notifications.subscribe("one", ended.append)
    unsubscribe()
    unsubscribe()
    notifications.publish("one", ["a"])
    assert (kept, ended) == ([["a"]], [])


def test_all_receivers_are_told_of_missed_notifications():
    notifications, one, other = Notifications(), [], []
    notifications.subscribe("one", one.append)
    notifications.subscribe("other", other.append)
    notifications.deliver_missed()
    assert (one, other) == ([None], [None])


def test_a_long_text_is_refused():
    notifications = Notifications()
    notifications.publish("one", ["é" * (LONGEST_TEXT // 2)])
    with pytest.raises(ValueError, match="at most 200 bytes"):
        notifications.publish("one", ["short", "é" * (LONGEST_TEXT // 2) + "x"])
