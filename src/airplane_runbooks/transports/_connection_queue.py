"""Queue of a pool's connections."""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress
from typing import Any

from ..errors import ClientClosed


class ConnectionQueue:
    """Last-in, first-out queue of a pool's connections, in which None stands for one that has yet to be made.

    Stands in for `queue.LifoQueue`, which is several times the work, lets its waiters wait on when the pool is closed,
    and has a lock that a fork may copy while another thread holds it, so that the child never gets it.
    """

    def __init__(self, maxsize: int) -> None:  # noqa: ARG002  # the pool puts in as many as it has places
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._kept: deque[Any] = deque()  # one item for each token; a token more means closed

    def put(self, item: Any, block: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002  # as urllib3 calls it
        """Give a connection back."""
        self._kept.append(item)
        self._tokens.put(None)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002  # likewise
        """Take a connection, waiting for it if `block`. Raises queue.Empty if none came, or ClientClosed."""
        self._tokens.get(block, timeout)
        try:
            return self._kept.pop()
        except IndexError:
            self._tokens.put(None)  # for the next waiting thread
        if block:
            raise ClientClosed("the transport has been closed")
        raise queue.Empty

    def close_idle(self) -> None:
        """Close the connections that are not in use; they are opened again when they are."""
        taken: list[Any] = []
        with suppress(queue.Empty):
            while True:
                taken.append(self.get(block=False))
        for connection in reversed(taken):
            if connection is not None:
                connection.close()
            self.put(connection)

    def close(self) -> None:
        """Turn the waiting threads away, once all connections have been taken out."""
        self._tokens.put(None)
