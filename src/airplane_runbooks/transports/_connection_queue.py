"""Queue of a pool's connections."""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from ..errors import ClientClosed
from ..pools import PoolFigures


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class ConnectionQueue(Generic[T]):
    """Last-in, first-out queue of a pool's connections, in which None stands for one that has yet to be made.

    It needs no lock, which a fork could copy while another thread holds it, so that the child would never get it. It is
    also a fraction of the work of `queue.LifoQueue`.
    """

    def __init__(self, size: int) -> None:
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._kept: deque[T | None] = deque()  # one item for each token; a token more means closed
        self._size = size
        self._waiting: set[object] = set()
        self._is_closed = False
        for _ in range(size):
            self.put(None)

    def put(self, item: T | None) -> None:
        """Give a connection back. It is closed if the queue has been."""
        self._kept.append(item)
        self._tokens.put(None)
        if self._is_closed:
            self._drain()

    def get(self, timeout: float | None) -> T | None:
        """Take a connection, waiting for it. Raises queue.Empty if none came, or ClientClosed."""
        try:
            self._tokens.get_nowait()
        except queue.Empty:
            self._wait(timeout)
        try:
            return self._kept.pop()
        except IndexError:
            self._tokens.put(None)  # for the next waiting thread
        raise ClientClosed("the transport has been closed", sent=False)

    def _wait(self, timeout: float | None) -> None:
        """Wait for a token, and be counted in the meantime."""
        marker = object()
        try:
            self._waiting.add(marker)
            self._tokens.get(timeout=timeout)
        finally:
            self._waiting.discard(marker)

    def figures(self) -> PoolFigures:
        """Return the figures of a queue that has not been closed. They may be one off while others use it."""
        kept = tuple(self._kept)
        idle = len(kept) - kept.count(None)
        return PoolFigures(active=self._size - len(kept), idle=idle, waiting=len(self._waiting))

    def take(self) -> T | None:
        """Take a connection, the one that has been idle the longest. Raises queue.Empty if all are in use."""
        self._tokens.get(block=False)
        try:
            return self._kept.popleft()
        except IndexError:
            self._tokens.put(None)
        raise queue.Empty

    def close_idle(self) -> None:
        """Close the connections that are not in use; new ones are made when they are needed."""
        for _ in range(self._drain()):
            self.put(None)

    def close(self) -> None:
        """Close the connections that are not in use, and turn the waiting threads away."""
        self._is_closed = True
        self._drain()
        self._tokens.put(None)

    def _drain(self) -> int:
        """Take out and close what is not in use. Return how many places that were."""
        taken = 0
        with suppress(queue.Empty):
            while True:
                connection = self.take()
                taken += 1
                if connection is not None:
                    connection.close()
        return taken
