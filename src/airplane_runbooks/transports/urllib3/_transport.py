"""The default transport: urllib3's TLS and proxies, with our own pools, reading and writing of HTTP/1.1 on them.

urllib3 makes the connections, of classes of our choice. What they lead to is read and written by us: a request goes out
in one piece, and the response is read with a deadline that holds for every byte, which urllib3's timeouts (one for each
read) do not. It is also a fraction of the work of its `urlopen`.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from ...errors import (
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    TransportError,
)
from ...http import Headers, Request, Response
from ...options import socket_path_of
from ...pools import PoolFigures
from .._ages import DEFAULT_MAX_CONNECTION_AGE, DEFAULT_MAX_CONNECTION_IDLE
from .._deadline import Deadline, InterruptibleDeadline
from .._proxies import Proxy, goal_of, needs_tls
from .._settings import checked_settings
from .._unix_sockets import HOST
from ..base import DEFAULT_MAX_RESPONSE_BYTES, call_in_children
from ._pool import ConnectionPool
from ._routes import Route
from ._unix import UnixRoute

DEFAULT_POOL_SIZE = 32


class _Origin(NamedTuple):
    """An origin, and the connections to it."""

    pool: ConnectionPool
    forwarder: Proxy | None  # one that forwards plain http wants the whole URL, and may repeat its own headers


class Urllib3Transport:
    """Carry requests over urllib3's connection pools.

    Name resolution is the one thing that cannot be interrupted: it may outlast a timeout by as long as the system's
    resolver takes. A forked child gets connections of its own.

    Args:
        pool_size: Connections kept per origin, and requests in flight at most; further ones wait for their turn.
        max_response_bytes: Largest response body, before and after decompression.
        ssl_context: TLS settings for servers and https proxies; by default the system's trust store.
        proxy: URL of an http or https proxy, user info included. By default the environment's HTTPS_PROXY, HTTP_PROXY,
            ALL_PROXY and NO_PROXY decide, of which only those count that are for the origin; None means no proxy. This
            machine itself is always reached directly.
        max_connection_idle: Seconds after which an idle connection is closed instead of used; None keeps it.
        max_connection_age: Seconds after which a connection is closed between two requests, so that changes of the DNS
            and of deploys are followed; None keeps it.
    """

    def __init__(
        self,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | UnsetType | None = UNSET,
        max_connection_idle: float | None = DEFAULT_MAX_CONNECTION_IDLE,
        max_connection_age: float | None = DEFAULT_MAX_CONNECTION_AGE,
    ) -> None:
        self._closed = False
        self._pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        try:
            self._proxies, self._ages = checked_settings(
                pool_size=pool_size,
                max_response_bytes=max_response_bytes,
                proxy=proxy,
                max_connection_idle=max_connection_idle,
                max_connection_age=max_connection_age,
            )
        finally:
            del proxy  # a traceback that shows local variables must not show its password
        self._ssl_context = ssl_context
        self._reset()
        call_in_children(self, Urllib3Transport._reset)

    @property
    def pool_size(self) -> int:
        """Requests to one origin that are in flight at most."""
        return self._pool_size

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._origins: dict[str, _Origin] = {}
        self._interruptibles: set[InterruptibleDeadline] = set()

    def prepare(self, origin: str) -> None:
        """Build the pool of an origin, TLS settings included, so that the first request need not.

        Raises ConfigurationError if the proxy for the origin is of no use.
        """
        try:
            self._origin(origin)
        except ConnectError as failure:
            if isinstance(failure.__cause__, ConfigurationError):
                raise failure.__cause__ from None
            raise

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt. See `airplane_runbooks.http.Transport` for what it promises."""
        if timeout is not None and timeout <= 0:
            raise AttemptTimeout("no time to send the request in", sent=False)
        if request.body is None and "prefer" in request.headers:
            return self._send_long_poll(request, timeout)
        return self.send_by(request, Deadline(timeout))

    def _send_long_poll(self, request: Request, timeout: float | None) -> Response:
        """Carry out an attempt that `close` ends: nothing is lost, and the server may not answer for long."""
        with self._interruptible(timeout) as deadline:
            return self.send_by(request, deadline)

    @contextmanager
    def _interruptible(self, timeout: float | None) -> Generator[InterruptibleDeadline]:
        """Yield a deadline that `close` brings forward."""
        deadline = InterruptibleDeadline(timeout)
        self._interruptibles.add(deadline)
        try:
            yield deadline
        except TransportError as failure:
            if self._closed:
                raise ClientClosed("the transport has been closed", sent=failure.sent) from None
            raise
        finally:
            self._interruptibles.discard(deadline)
            deadline.release()

    def warm_up(self, origin: str, connections: int = 1, timeout: float | None = None) -> None:
        """Open connections to an origin, TLS included, until there are so many.

        Raises TransportError if one cannot be opened within `timeout` seconds for all of them.
        """
        with self._interruptible(timeout) as deadline:
            self._origin(origin).pool.warm_up(connections, deadline)

    def send_by(self, request: Request, deadline: Deadline) -> Response:
        """Carry out one attempt before a deadline that the caller may go on to bring forward."""
        origin = self._origins.get(request.origin) or self._origin(request.origin)
        target, headers = request.target, request.headers
        if origin.forwarder is not None:
            added = Headers(origin.forwarder.headers)
            target, headers = request.url, headers.merged(added.raw())
            request.add_credentials(added)
        if "host" in headers.raw():  # a middleware's
            headers = Headers.of({name: value for name, value in headers.items() if name != "host"})
        connection = origin.pool.take(deadline)
        try:
            if connection is None:
                connection = origin.pool.connect(deadline)
            # What it returns is bound to no name, which a traceback could show.
            return connection.as_response(
                *connection.carry(request.method, target, headers, request.body, deadline), self._max_response_bytes
            )
        finally:
            origin.pool.give_back(connection)

    def _origin(self, url: str) -> _Origin:
        with self._lock:
            if self._closed:
                raise ClientClosed("the transport has been closed", sent=False)
            if url not in self._origins:
                try:
                    self._origins[url] = self._new_origin(url)
                except ValueError as problem:
                    raise ConnectError(
                        f"no connection to {goal_of(url, None)}: {problem}", transient=False
                    ) from problem
            return self._origins[url]

    def _new_origin(self, url: str) -> _Origin:
        if (path := socket_path_of(url)) is not None:
            return _Origin(self._new_pool(UnixRoute(path), HOST), forwarder=None)
        scheme, _, host = url.partition("://")
        proxy = self._proxies.for_origin(url)
        if self._ssl_context is None and needs_tls(url, proxy):
            self._ssl_context = ssl.create_default_context()
        pool = self._new_pool(Route(url, proxy, self._ssl_context), host)
        return _Origin(pool, forwarder=proxy if scheme == "http" else None)

    def _new_pool(self, route: Route | UnixRoute, host: str) -> ConnectionPool:
        return ConnectionPool(route, host, self._pool_size, self._ages, self._max_response_bytes)

    def pool_figures(self) -> dict[str, PoolFigures]:
        """Return the figures of each origin's connections; none once the transport has been closed."""
        return {url: origin.pool.figures() for url, origin in self._origins.copy().items()}

    def close_idle(self, origin: str) -> None:
        """Close the idle connections to an origin."""
        if (found := self._origins.get(origin)) is not None:
            found.pool.close_idle()

    def close(self) -> None:
        """Close all idle connections. Closing twice is fine.

        Connections in use are closed when their request ends. Long polls are ended.
        """
        with self._lock:
            self._closed = True
            origins, self._origins = self._origins, {}
        for deadline in list(self._interruptibles):
            deadline.interrupt()
        for origin in origins.values():
            origin.pool.close()

    def __repr__(self) -> str:
        return f"Urllib3Transport(pool_size={self._pool_size}, closed={self._closed})"
