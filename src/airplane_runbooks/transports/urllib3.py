"""The default transport: urllib3's pools, TLS and proxies, with our own reading and writing of HTTP/1.1 between them.

urllib3 lets a pool make connections of a class of our choice. Ours sends a request in one piece and reads the response
with a deadline that holds for every byte, which urllib3's timeouts (one for each read) do not. It is also several times
less work than http.client's parser.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import weakref
from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple, NoReturn

import urllib3
from msgspec import UNSET, UnsetType
from urllib3 import connection, connectionpool
from urllib3.exceptions import ClosedPoolError, EmptyPoolError, HTTPError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_match_hostname import CertificateError

from ..errors import (
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    InvalidResponse,
    TransportError,
)
from ..http import Headers, Request, Response
from ._http11 import Head, Reader, decode_body, is_reusable, render_head
from ._proxies import Proxies, Proxy

DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024
DEFAULT_POOL_SIZE = 32

# Bodies up to this size go out in one piece with the head: one packet, one TLS record, one system call.
_JOINED_BODY = 64 * 1024


class _Deadline(urllib3.Timeout):
    """A urllib3 timeout that counts down to one moment, through waiting for a connection, connecting and sending."""

    def __init__(self, timeout: float | None) -> None:
        self.at = None if timeout is None else monotonic() + timeout

    def clone(self) -> _Deadline:
        return self

    def start_connect(self) -> float:
        return 0.0

    def __repr__(self) -> str:
        return f"<{self.left} s left>"

    @property
    def left(self) -> float | None:
        # A timeout of zero would make a socket non-blocking, so what is over has a millisecond left.
        return None if self.at is None else max(self.at - monotonic(), 0.001)

    connect_timeout = left
    read_timeout = left


class _Answer:
    """A response as far as urllib3's pool looks at it."""

    __slots__ = ("_connection", "_pool", "body", "head", "headers", "retries")

    length_remaining = 0

    def __init__(self, head: Head, body: bytes) -> None:
        self.head = head
        self.headers = head.headers
        self.body = body

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def http_version(self) -> str:
        return "1.0" if self.head.version == b"0" else "1.1"

    @property
    def version_string(self) -> str:
        return f"HTTP/{self.http_version}"


class _Wire:
    """What our connections do in place of http.client's: connect, send and receive before one deadline."""

    sock: Any
    timeout: float | None
    _deadline: float | None = None

    def __init__(self, *args: Any, max_response_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_response_bytes = max_response_bytes

    def connect(self) -> None:
        """Connect. Whatever goes wrong here happened before a byte of a request was sent."""
        try:
            super().connect()  # type: ignore[misc]  # of urllib3's connection, with which this class is mixed
        except TimeoutError as failure:
            raise AttemptTimeout("no time left while connecting", sent=False) from failure
        except TransportError as failure:
            raise ConnectError(f"the proxy did not open a tunnel: {failure}") from failure
        except (OSError, HTTPError, CertificateError) as failure:
            untrusted = isinstance(failure, ssl.SSLCertVerificationError | CertificateError)
            raise ConnectError(f"no connection: {failure}", transient=not untrusted) from failure

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers, all of them together within the time left."""
        deadline = None if self.timeout is None else monotonic() + self.timeout
        this: Any = self
        problem: Exception = OSError("the host name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            this._dns_host, this.port, allowed_gai_family(), socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in this.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(_left(deadline))
                sock.connect(address)
                sock.settimeout(_left(deadline))  # for the TLS handshake
                return sock
            except OSError as failure:
                problem = failure
                sock.close()
        raise problem

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel to the server (CONNECT, RFC 9110, section 9.3.6)."""
        this: Any = self
        deadline = None if self.timeout is None else monotonic() + self.timeout
        host = f"[{this._tunnel_host}]" if ":" in this._tunnel_host else this._tunnel_host
        authority = f"{host}:{this._tunnel_port}"
        self.sock.sendall(render_head("CONNECT", authority, {"host": authority, **this._tunnel_headers}, None))
        head = Reader(self.sock, deadline, 0).head()
        if not 200 <= head.status < 300:
            raise OSError(f"the proxy refused the tunnel with status {head.status}")
        self.sock.settimeout(_left(deadline))

    def request(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> None:
        """Send a request. What fails before its first byte is left to the pool; the rest is raised as ours."""
        self._deadline = None if self.timeout is None else monotonic() + self.timeout
        if self.sock is None:
            self.connect()
        length = None if body is None else len(body)
        try:
            self.sock.settimeout(_left(self._deadline))
            if body is None or len(body) <= _JOINED_BODY:
                self.sock.sendall(render_head(method, url, headers or {}, length) + (body or b""))
            else:
                self.sock.sendall(render_head(method, url, headers or {}, length))
                self.sock.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server may have answered before it stopped listening
        except OSError as failure:
            _raise_broken(failure, "sending the request")

    def getresponse(self) -> _Answer:
        """Read the whole response. The connection is closed unless it is certain that another may follow on it."""
        reader = Reader(self.sock, self._deadline, self._max_response_bytes)
        try:
            head = reader.head()
        except OSError as failure:
            _raise_broken(failure, "waiting for the response")
        try:
            body = reader.body(head)
        except OSError as failure:
            _raise_broken(failure, "reading the body of the response", head.status)
        if reader.has_excess or not is_reusable(head):
            this: Any = self
            this.close()
        return _Answer(head, body)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - monotonic(), 0.001)


def _raise_broken(failure: OSError, doing: str, status: int | None = None) -> NoReturn:
    error: TransportError
    if isinstance(failure, TimeoutError):
        error = AttemptTimeout(f"no time left while {doing}")
    else:
        error = ConnectionLost(f"the connection broke while {doing}: {failure.strerror or type(failure).__name__}")
    error.status = status
    raise error from failure


class _HTTPConnection(_Wire, connection.HTTPConnection):
    pass


class _HTTPSConnection(_Wire, connection.HTTPSConnection):
    pass


class _HTTPPool(connectionpool.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Fields(dict[str, str]):
    """Headers on their way through urllib3, whose frames a traceback may show with all their local variables."""

    def copy(self) -> _Fields:
        return _Fields(self)

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class _Route(NamedTuple):
    """How an origin is reached."""

    pool: urllib3.HTTPConnectionPool
    host: str
    absolute: bool  # a proxy that forwards plain http wants the whole URL


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
            ALL_PROXY and NO_PROXY decide; None means no proxy. This machine itself is always reached directly.
    """

    def __init__(
        self,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | UnsetType | None = UNSET,
    ) -> None:
        if pool_size < 1 or max_response_bytes < 1:
            raise ConfigurationError("pool_size and max_response_bytes must be at least 1")
        self._pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        self._ssl_context = ssl_context
        self._proxies = Proxies.from_env() if proxy is UNSET else Proxies.always(proxy)
        self._closed = False
        self._reset()
        _transports.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[str, _Route] = {}

    def prepare(self, origin: str) -> None:
        """Build the pool of an origin, TLS settings included, so that the first request need not."""
        self._route(origin)

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt. See `airplane_runbooks.http.Transport` for what it promises."""
        route = self._routes.get(request.origin) or self._route(request.origin)
        fields = _Fields(request.headers.raw())
        fields["host"] = route.host
        try:
            answer: Any = route.pool.urlopen(
                request.method,
                request.url if route.absolute else request.target,
                body=request.body,
                headers=fields,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                timeout=_Deadline(timeout),
                pool_timeout=timeout,
            )
        except EmptyPoolError:
            raise ConnectError(f"all {self._pool_size} connections stayed busy until the time was up") from None
        except ClosedPoolError:
            raise ClientClosed("the transport has been closed") from None
        return self._response(answer)

    def _response(self, answer: _Answer) -> Response:
        try:
            body = decode_body(answer.body, answer.headers.get("content-encoding"), self._max_response_bytes)
        except InvalidResponse as failure:
            failure.status = answer.status
            raise
        return Response(
            status=answer.status, headers=Headers.of(answer.headers), body=body, http_version=answer.http_version
        )

    def _route(self, origin: str) -> _Route:
        with self._lock:
            if self._closed:
                raise ClientClosed("the transport has been closed")
            if origin not in self._routes:
                self._routes[origin] = self._new_route(origin)
            return self._routes[origin]

    def _new_route(self, origin: str) -> _Route:
        scheme, _, host = origin.partition("://")
        proxy = self._proxies.for_origin(origin)
        secure = scheme == "https" or (proxy is not None and proxy.url.startswith("https:"))
        if secure and self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        manager = self._manager(scheme, proxy)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        pool = manager.connection_from_url(origin)
        pool.conn_kw["max_response_bytes"] = self._max_response_bytes
        return _Route(pool, host, absolute=proxy is not None and scheme == "http")

    def _manager(self, scheme: str, proxy: Proxy | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": self._pool_size, "block": True}
        if scheme == "https":
            options["ssl_context"] = self._ssl_context
        if proxy is None:
            return urllib3.PoolManager(**options)
        return urllib3.ProxyManager(
            proxy.url, proxy_headers=proxy.headers, proxy_ssl_context=self._ssl_context, **options
        )

    def close(self) -> None:
        """Close all idle connections; those in use are closed when their request ends. Closing twice is fine."""
        with self._lock:
            self._closed = True
            routes, self._routes = self._routes, {}
        for route in routes.values():
            route.pool.close()

    def __repr__(self) -> str:
        return f"Urllib3Transport(pool_size={self._pool_size}, closed={self._closed})"


_transports: weakref.WeakSet[Urllib3Transport] = weakref.WeakSet()


def _forget_connections() -> None:
    """Keep a forked child off its parent's connections: two processes on one socket read each other's answers."""
    for transport in list(_transports):
        transport._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
