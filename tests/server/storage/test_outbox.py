"""Messages on their way to other servers."""

from __future__ import annotations

import select
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server.notifications import LONGEST_TEXT
from airplane_runbooks.server.storage.outbox import (
    MOST_TEXTS,
    Outbox,
    decode_message,
    encode_messages,
)

MOST_BYTES = 7_999  # of a message for NOTIFY
short_texts = st.text(max_size=LONGEST_TEXT // 4)


@pytest.fixture
def outbox():
    with closing(Outbox()) as outbox:
        yield outbox


def is_awake(outbox):
    return bool(select.select([outbox.wakeup], [], [], 0)[0])


def test_messages_are_taken_once_by_channel(outbox):
    outbox.add("one", ["a", "b"])
    outbox.add("one", ["b", "c"])
    outbox.add("other", ["a"])
    assert {channel: list(texts) for channel, texts in outbox.take().items()} == {
        "one": ["a", "b", "c"],
        "other": ["a"],
    }
    assert outbox.take() == {}


def test_the_taker_is_woken_until_it_has_taken(outbox):
    assert not is_awake(outbox)
    outbox.add("one", ["a"])
    assert is_awake(outbox)
    outbox.take()
    assert not is_awake(outbox)
    outbox.wake()
    assert is_awake(outbox)


def test_more_than_can_wait_is_told_as_missed(outbox):
    outbox.add("one", [str(number) for number in range(MOST_TEXTS)])
    outbox.add("one", ["one more"])
    outbox.add("one", ["and one more"])
    outbox.add("other", ["a"])
    outbox.add("other", None)
    assert outbox.take() == {"one": None, "other": None}


def test_what_comes_after_the_end_is_dropped():
    outbox = Outbox()
    outbox.close()
    outbox.add("one", ["a"])
    outbox.wake()


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=LONGEST_TEXT // 4)))
def test_texts_survive_in_short_messages(texts):
    messages = list(encode_messages("sender", "channel", texts))
    assert all(len(message.encode()) <= MOST_BYTES and "\0" not in message for message in messages)
    decoded = [decode_message(message.encode()) for message in messages]
    assert all(one[:2] == ("sender", "channel") for one in decoded)
    assert [text for one in decoded for text in one[2]] == texts


def test_many_texts_take_several_messages():
    worst = ["\x01" * LONGEST_TEXT] * 50
    messages = list(encode_messages("sender", "channel", worst))
    assert len(messages) > 1
    assert max(len(message.encode()) for message in messages) <= MOST_BYTES


def test_a_missed_message_survives():
    (message,) = encode_messages("sender", "channel", None)
    assert decode_message(message.encode()) == ("sender", "channel", None)


@pytest.mark.parametrize("message", [b"", b"hello", b"[1]", b'["a", "b", 1]', b"\xff"])
def test_a_message_of_another_program_is_ignored(message):
    assert decode_message(message) is None
