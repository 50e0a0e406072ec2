"""Pool of the connections to one origin."""

from __future__ import annotations

import queue
import weakref
from time import monotonic

from ...errors import ConnectError
from .._ages import ConnectionAges
from .._connection_queue import ConnectionQueue
from .._deadline import Deadline
from ._connection import Connection
from ._routes import Route


class ConnectionPool:
    """The connections to one origin, at most so many at a time. Threads may share it."""

    def __init__(self, route: Route, host: str, size: int, ages: ConnectionAges, max_response_bytes: int) -> None:
        self._route = route
        self._host = host
        self._size = size
        self._ages = ages
        self._max_response_bytes = max_response_bytes
        self._queue: ConnectionQueue[Connection] = ConnectionQueue(size)
        weakref.finalize(self, self._queue.close)  # a transport that is dropped without being closed

    def take(self, deadline: Deadline) -> Connection | None:
        """Take a place, waiting for it. It has a connection that can be used, or None, for one that must be made."""
        try:
            connection = self._queue.get(deadline.left)
        except queue.Empty:
            raise ConnectError(f"all {self._size} connections stayed busy until the time was up") from None
        if connection is None:
            return None
        if not self._ages.have_passed(connection.opened, connection.used, monotonic()) and connection.is_quiet():
            return connection
        connection.close()
        return None

    def connect(self, deadline: Deadline) -> Connection:
        """Make a connection. Raises TransportError, which says that nothing was sent."""
        return Connection(self._route.connect(deadline), self._host, self._max_response_bytes)

    def give_back(self, connection: Connection | None) -> None:
        """Give a place back, with its connection if that can be used again."""
        if connection is not None and not connection.is_open:
            connection.close()
            connection = None
        self._queue.put(connection)

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
        self._queue.close_idle()

    def close(self) -> None:
        """Close the connections that are not in use, the others when they are given back. Turn those who wait away."""
        self._queue.close()
