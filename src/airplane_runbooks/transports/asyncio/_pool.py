"""Connections of one event loop to one origin."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic

from ...errors import AttemptTimeout, ConnectError, TransportError
from ...pools import PoolFigures
from .._ages import ConnectionAges
from ._connecting import Route
from ._connection import Connection
from ._exchange import Exchange
from ._unix import UnixRoute


class Places:
    """Settings that the pools of an event loop have in common, and what has to end with the loop.

    Attributes:
        loop: The event loop.
        size: Requests to one origin that are in flight at most.
        ages: Ages at which connections are given up.
        connections: All connections.
        timers: Those of the requests that wait or connect. To bring one forward ends its request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int, ages: ConnectionAges) -> None:
        self.loop = loop
        self.size = size
        self.ages = ages
        self.connections: set[Connection] = set()
        self.timers: set[asyncio.Timeout] = set()


class OriginPool:
    """Connections to an origin, and the requests that wait for one, first come, first served.

    Attributes:
        route: The way to the origin.
        distrusted: How many times the connections that were idle have been found to be out of step.
    """

    def __init__(self, route: Route | UnixRoute, places: Places) -> None:
        self.route = route
        self.distrusted = 0
        self._loop = places.loop
        self._ages = places.ages
        self._size = self._free = places.size
        self._idle: list[Connection] = []
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._connections = places.connections
        self._timers = places.timers

    def take(self) -> Connection | None:
        """Return an idle connection, if there is one and no request waits."""
        if not (self._free and self._idle):
            return None
        connection = self._take_idle()
        if connection is not None:
            self._free -= 1
        return connection

    async def obtain(self, deadline: float | None) -> Connection:
        """Wait for a place among the requests in flight, and connect unless a connection is idle by then.

        The deadline is a reading of the monotonic clock. Raises TransportError: no byte of the request was sent.
        """
        timer = asyncio.timeout(None if deadline is None else deadline - monotonic())
        self._timers.add(timer)
        is_admitted = False
        try:
            async with timer:
                await self._admitted()
                is_admitted = True
                return self._take_idle() or await self._connected()
        except BaseException as failure:
            if is_admitted:
                self._release()
            if not isinstance(failure, TimeoutError):
                raise
        finally:
            self._timers.discard(timer)
            del timer  # which holds the task, which holds the error, which holds this frame
        raise self._timed_out(is_admitted=is_admitted)

    async def warm_up(self, connections: int, deadline: float | None) -> None:
        """Open so many connections, counting those that are idle or in use. Raises TransportError if one fails."""
        ready: list[Connection] = []

        async def open_one() -> None:
            ready.append(await self.obtain(deadline))

        missing = min(connections, self._size) - (self._size - self._free)
        try:
            outcomes = await asyncio.gather(*(open_one() for _ in range(missing)), return_exceptions=True)
        finally:
            for connection in ready:
                connection.rest()
                self._idle.append(connection)
                self._release()
        failure = next((outcome for outcome in outcomes if outcome is not None), None)
        del outcomes
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback leads back here

    def give_back(self, connection: Connection, exchange: Exchange) -> None:
        """Take a connection back, and keep it if another exchange may follow."""
        if connection.end(exchange):
            self._idle.append(connection)
        else:
            connection.abort()
        self._release()

    def figures(self) -> PoolFigures:
        """Return how many connections are in use and idle, and how many requests wait for one."""
        idle = sum(connection.transport is not None for connection in self._idle.copy())
        return PoolFigures(active=self._size - self._free, idle=idle, waiting=len(self._waiting))

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            is_old = self._ages.have_passed(connection.opened, connection.used, monotonic())
            if not (is_old or connection.trust != self.distrusted or connection.is_stale):
                return connection
            connection.abort()
        return None

    async def _admitted(self) -> None:
        if self._free:
            self._free -= 1
            return
        place = self._loop.create_future()
        self._waiting[place] = None
        try:
            await place
        except asyncio.CancelledError:
            self._waiting.pop(place, None)
            if not place.cancelled():  # it had been given, just before
                self._release()
            raise

    def _release(self) -> None:
        """Give a place to the request that has waited longest."""
        while self._waiting:
            place, _ = self._waiting.popitem(last=False)
            if not place.done():  # or its request has been cancelled, and does not know it yet
                place.set_result(None)
                return
        self._free += 1

    async def _connected(self) -> Connection:
        connection = await self.route.connect()
        connection.trust = self.distrusted
        self._connections.add(connection)
        connection.lost.add_done_callback(lambda _: self._connections.discard(connection))
        return connection

    def _timed_out(self, *, is_admitted: bool) -> TransportError:
        if is_admitted:
            return AttemptTimeout("no time left while connecting", sent=False)
        return ConnectError(f"all {self._size} connections stayed busy until the time was up")
