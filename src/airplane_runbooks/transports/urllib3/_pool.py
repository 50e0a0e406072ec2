"""Pool of the connections to one origin."""

from __future__ import annotations

import queue
import weakref
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...errors import ConnectError
from ...pools import PoolFigures
from .._ages import ConnectionAges
from .._connection_queue import ConnectionQueue
from .._deadline import Deadline
from ._routes import Route
from ._unix import UnixRoute

if TYPE_CHECKING:
    from ._connection import Connection
else:
    Connection = Any  # keeps `get_type_hints` working; loaded with the first connection


class ConnectionPool:
    """The connections to one origin, at most so many at a time. Threads may share it."""

    def __init__(
        self, route: Route | UnixRoute, host: str, size: int, ages: ConnectionAges, max_response_bytes: int
    ) -> None:
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
        return self._usable(connection)

    def _usable(self, connection: Connection | None) -> Connection | None:
        """Return a connection that can be used; None, with the connection closed, if it must not be."""
        if connection is None:
            return None
        if not self._ages.have_passed(connection.opened, connection.used, monotonic()) and connection.is_quiet():
            return connection
        connection.close()
        return None

    def connect(self, deadline: Deadline) -> Connection:
        """Make a connection. Raises TransportError, which says that nothing was sent."""
        from ._connection import Connection

        sock = self._route.connect(deadline)
        return Connection(sock, self._host, self._max_response_bytes, self._route.remember_session)

    def warm_up(self, connections: int, deadline: Deadline) -> None:
        """Open so many connections, counting those that are idle or in use. Raises TransportError if one fails."""
        taken: list[Connection | None] = []
        try:
            with suppress(queue.Empty):  # all others are in use
                for place in range(min(connections, self._size)):
                    taken.append(self._queue.get(0.0))
                    taken[place] = self._usable(taken[place]) or self.connect(deadline)
        finally:
            for connection in taken:
                self.give_back(connection)

    def give_back(self, connection: Connection | None) -> None:
        """Give a place back, with its connection if that can be used again."""
        if connection is not None and not connection.is_open:
            connection.close()
            connection = None
        self._queue.put(connection)

    def figures(self) -> PoolFigures:
        """Return how many connections are in use and idle, and how many threads wait for one."""
        return self._queue.figures()

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
        self._queue.close_idle()

    def close(self) -> None:
        """Close the connections that are not in use, the others when they are given back. Turn those who wait away."""
        self._queue.close()
