"""The places of a connection pool, as urllib3 and its waiters use them."""

from __future__ import annotations

import queue
import threading

import pytest

from airplane_runbooks import ClientClosed
from airplane_runbooks.transports._connection_queue import ConnectionQueue


def filled(size: int) -> ConnectionQueue:
    slots = ConnectionQueue(size)
    for _ in range(size):
        slots.put(None)
    return slots


def test_the_connection_given_back_last_goes_out_first() -> None:
    slots = filled(3)
    first, second = slots.get(), slots.get()
    assert first is second is None
    slots.put("older", block=False)
    slots.put("newer", block=False)
    assert [slots.get(), slots.get(), slots.get()] == ["newer", "older", None]


def test_no_more_are_handed_out_than_there_are() -> None:
    slots = filled(1)
    slots.get()
    with pytest.raises(queue.Empty):
        slots.get(timeout=0.01)
    with pytest.raises(queue.Empty):
        slots.get(block=False)


def test_everybody_who_waits_is_turned_away_when_it_closes() -> None:
    slots = filled(1)
    slots.get()
    turned_away: list[ClientClosed] = []

    def wait() -> None:
        with pytest.raises(ClientClosed) as caught:
            slots.get(timeout=30)
        turned_away.append(caught.value)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    slots.close()
    for thread in threads:
        thread.join(60)
    assert len(turned_away) == 5


def test_closed_places_can_still_be_emptied() -> None:
    slots = filled(2)
    slots.close()
    assert [slots.get(block=False), slots.get(block=False)] == [None, None]
    for _ in range(2):
        with pytest.raises(queue.Empty):
            slots.get(block=False)
