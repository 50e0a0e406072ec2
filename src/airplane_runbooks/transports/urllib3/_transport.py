"""The default transport: urllib3's pools, TLS and proxies, with our own reading and writing of HTTP/1.1 between them.

urllib3 lets a pool make connections of a class of our choice. Ours sends a request in one piece and reads the response
with a deadline that holds for every byte, which urllib3's timeouts (one for each read) do not. It is also several times
less work than http.client's parser.
"""

from __future__ import annotations

import ssl
import threading
from typing import Any, NamedTuple

import urllib3
from msgspec import UNSET, UnsetType
from urllib3.exceptions import ClosedPoolError, EmptyPoolError

from ...errors import (
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    TransportError,
)
from ...http import (
    Fields,
    Headers,
    Request,
    Response,
)
from .._connection_queue import ConnectionQueue
from .._deadline import Deadline, InterruptibleDeadline
from .._proxies import Proxies, Proxy, needs_tls
from ..base import DEFAULT_MAX_RESPONSE_BYTES, call_in_children
from ..http11 import as_response
from ._connections import HTTPPool, HTTPSPool

DEFAULT_POOL_SIZE = 32


class _OriginPool(NamedTuple):
    """Connections to one origin."""

    connections: urllib3.HTTPConnectionPool
    queue: ConnectionQueue
    host: str
    forwarder: Proxy | None  # one that forwards plain http wants the whole URL, and may repeat its own headers


_NO_RETRIES = urllib3.Retry(total=False, redirect=False)


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
    """

    def __init__(
        self,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | UnsetType | None = UNSET,
    ) -> None:
        self._closed = False
        self._pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        try:
            self._proxies = Proxies.of(proxy)
        finally:
            del proxy  # a traceback that shows local variables must not show its password
        if pool_size < 1 or max_response_bytes < 1:
            raise ConfigurationError("pool_size and max_response_bytes must be at least 1")
        self._ssl_context = ssl_context
        self._reset()
        call_in_children(self, Urllib3Transport._reset)

    @property
    def pool_size(self) -> int:
        """Requests to one origin that are in flight at most."""
        return self._pool_size

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, _OriginPool] = {}
        self._long_polls: set[InterruptibleDeadline] = set()

    def prepare(self, origin: str) -> None:
        """Build the pool of an origin, TLS settings included, so that the first request need not.

        Raises ConfigurationError if the proxy for the origin is of no use.
        """
        try:
            self._pool(origin)
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
        deadline = InterruptibleDeadline(timeout)
        self._long_polls.add(deadline)
        try:
            return self.send_by(request, deadline)
        except TransportError:
            if self._closed:
                raise ClientClosed("the transport has been closed") from None
            raise
        finally:
            self._long_polls.discard(deadline)
            deadline.release()

    def send_by(self, request: Request, deadline: Deadline) -> Response:
        """Carry out one attempt before a deadline that the caller may go on to bring forward."""
        pool = self._pools.get(request.origin) or self._pool(request.origin)
        fields = Fields(request.headers.raw())
        fields["host"] = pool.host
        if pool.forwarder is not None:
            request.add_credentials(Headers(pool.forwarder.headers))
        try:
            answer: Any = pool.connections.urlopen(
                request.method,
                request.target if pool.forwarder is None else request.url,
                body=request.body,
                headers=fields,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                timeout=deadline,
                pool_timeout=deadline.left,  # type: ignore[arg-type]  # a fraction is fine
            )
        except EmptyPoolError:
            raise ConnectError(f"all {self._pool_size} connections stayed busy until the time was up") from None
        except ClosedPoolError:
            raise ClientClosed("the transport has been closed") from None
        return as_response(answer.head, answer.body, self._max_response_bytes)

    def _pool(self, origin: str) -> _OriginPool:
        with self._lock:
            if self._closed:
                raise ClientClosed("the transport has been closed")
            if origin not in self._pools:
                try:
                    self._pools[origin] = self._new_pool(origin)
                except ValueError as problem:
                    raise ConnectError(f"no connection: {problem}", transient=False) from problem
            return self._pools[origin]

    def _new_pool(self, origin: str) -> _OriginPool:
        scheme, _, host = origin.partition("://")
        proxy = self._proxies.for_origin(origin)
        if self._ssl_context is None and needs_tls(origin, proxy):
            self._ssl_context = ssl.create_default_context()
        manager = self._manager(proxy)
        pools: dict[str, Any] = {"http": HTTPPool, "https": HTTPSPool}
        manager.pool_classes_by_scheme = pools
        connections = manager.connection_from_url(origin)
        connections.conn_kw["max_response_bytes"] = self._max_response_bytes
        queue: Any = connections.pool
        return _OriginPool(connections, queue, host, forwarder=proxy if scheme == "http" else None)

    def _manager(self, proxy: Proxy | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": self._pool_size, "block": True, "ssl_context": self._ssl_context}
        if proxy is None:
            return urllib3.PoolManager(**options)
        return urllib3.ProxyManager(
            proxy.url, proxy_headers=proxy.headers, proxy_ssl_context=self._ssl_context, **options
        )

    def close_idle(self, origin: str) -> None:
        """Close the idle connections to an origin."""
        if (pool := self._pools.get(origin)) is not None:
            pool.queue.close_idle()

    def close(self) -> None:
        """Close all idle connections. Closing twice is fine.

        Connections in use are closed when their request ends. Long polls are ended.
        """
        with self._lock:
            self._closed = True
            pools, self._pools = self._pools, {}
        for deadline in list(self._long_polls):
            deadline.interrupt()
        for pool in pools.values():
            pool.connections.close()
            pool.queue.close()

    def __repr__(self) -> str:
        return f"Urllib3Transport(pool_size={self._pool_size}, closed={self._closed})"
