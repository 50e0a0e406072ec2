"""The places of a connection pool, as urllib3 and its waiters use them."""

from __future__ import annotations

import queue
import threading

import pytest

from airplane_runbooks import ClientClosed
from airplane_runbooks.transports._connection_queue import ConnectionQueue


class Connection:
    """A connection of which is known whether it has been closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_the_connection_given_back_last_goes_out_first() -> None:
    places = ConnectionQueue[Connection](3)
    assert places.get(0.0) is places.get(0.0) is None
    older, newer = Connection(), Connection()
    places.put(older)
    places.put(newer)
    assert [places.get(None), places.get(None), places.get(None)] == [newer, older, None]


def test_no_more_connections_are_handed_out_than_there_are() -> None:
    places = ConnectionQueue[Connection](1)
    places.get(None)
    with pytest.raises(queue.Empty):
        places.get(0.01)
    with pytest.raises(queue.Empty):
        places.take()


def test_threads_that_wait_are_turned_away_when_it_closes() -> None:
    places = ConnectionQueue[Connection](1)
    places.get(None)
    turned_away: list[ClientClosed] = []

    def wait() -> None:
        with pytest.raises(ClientClosed) as caught:
            places.get(30.0)
        turned_away.append(caught.value)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    places.close()
    for thread in threads:
        thread.join(60)
    assert len(turned_away) == 5


def test_a_closed_queue_closes_its_connections_now_and_later() -> None:
    places = ConnectionQueue[Connection](2)
    idle, used = Connection(), Connection()
    places.get(None)
    places.get(None)
    places.put(idle)
    places.close()
    places.put(used)
    places.close()
    assert idle.is_closed
    assert used.is_closed
    with pytest.raises(queue.Empty):
        places.take()


def test_closing_idle_connections_keeps_their_places() -> None:
    places = ConnectionQueue[Connection](2)
    idle = Connection()
    places.get(None)
    places.put(idle)
    places.close_idle()
    assert idle.is_closed
    assert [places.get(0.0), places.get(0.0)] == [None, None]
