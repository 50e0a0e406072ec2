"""Routes to origins: urllib3 parses URLs, checks certificates and passes proxies; sockets are connected by our race."""

from __future__ import annotations

import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3 import connection, connectionpool
from urllib3.exceptions import HTTPError
from urllib3.util.connection import allowed_gai_family

from ...errors import AttemptTimeout, ConnectError, TransportError
from ...http import Fields
from .._addresses import race_order
from .._deadline import Deadline
from .._proxies import Proxy, check_tunnel, goal_of, is_final, tunnel_target
from .._sockets import tune


class Route:
    """Route to an origin, directly or through a proxy."""

    def __init__(self, origin: str, proxy: Proxy | None, ssl_context: ssl.SSLContext | None) -> None:
        self._goal = goal_of(origin, proxy)
        self._has_tunnel = proxy is not None and origin.startswith("https:")
        manager = (
            urllib3.PoolManager(ssl_context=ssl_context)
            if proxy is None
            else urllib3.ProxyManager(
                proxy.url, proxy_headers=proxy.headers, ssl_context=ssl_context, proxy_ssl_context=ssl_context
            )
        )
        classes: dict[str, Any] = {"http": _Connections, "https": _SecureConnections}
        manager.pool_classes_by_scheme = classes
        self._connections: Any = manager.connection_from_url(origin)
        self._session: ssl.SSLSession | None = None

    def connect(self, deadline: Deadline) -> Any:
        """Return a connected socket, under TLS where the route has it. An error means that no request was sent."""
        made = self._connections._new_conn()  # noqa: SLF001  # what urllib3 connects is not used through its pool
        made.timeout = deadline
        if self._session is not None:
            made.ssl_context = _ResumingContext(made.ssl_context, self._session)
        try:
            if self._has_tunnel:
                self._connections._prepare_proxy(made)  # noqa: SLF001
            else:
                made.connect()
        except BaseException as failure:
            made.close()
            if isinstance(failure, OSError | ValueError | HTTPError | TransportError):
                raise _not_connected(self._goal, failure) from failure
            raise
        return made.sock

    def remember_session(self, sock: Any) -> None:
        """Keep the TLS session of a connection that is about to be closed, so that the next one resumes it."""
        if isinstance(sock, ssl.SSLSocket):
            self._session = sock.session or self._session


class _ResumingContext:
    """TLS settings with which a session is resumed. urllib3 has no argument for one."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        self._context = context
        self._session = session

    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, session=self._session, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _not_connected(goal: str, failure: Exception) -> TransportError:
    if isinstance(failure, TimeoutError):
        return AttemptTimeout("no time left while connecting", sent=False)
    if isinstance(failure, TransportError):
        return ConnectError(f"the proxy did not open a tunnel: {failure}", transient=failure.transient)
    return ConnectError(f"no connection to {goal}: {failure}", transient=not is_final(failure))


if TYPE_CHECKING:
    _Base = connection.HTTPConnection
else:
    _Base = object  # mixed with either kind of connection below


class _RacedConnection(_Base):
    """Mixin that connects to the address that answers first, and asks proxies for tunnels, before one deadline."""

    sock: Any
    timeout: Any  # the Deadline of the request

    def _new_conn(self) -> socket.socket:
        from ._race import connect_first

        found = socket.getaddrinfo(self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        sock = connect_first(race_order(self._dns_host, found), self.timeout)
        try:
            tune(sock)
        except BaseException:
            sock.close()
            raise
        sock.settimeout(self.timeout.left)  # for the TLS handshake
        return sock

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel to the server."""
        from ..http11 import StreamReader, render_head
        from ._streams import BlockingStream

        target = tunnel_target(str(self._tunnel_host).strip("[]"), self._tunnel_port)
        given = Fields(self._tunnel_headers)  # type: ignore[attr-defined]  # http.client's, which may add Host
        headers = Fields({"host": target, **{name: value for name, value in given.items() if name.lower() != "host"}})
        self.sock.settimeout(self.timeout.left)
        self.sock.sendall(render_head("CONNECT", target, headers, None))
        reader = StreamReader(BlockingStream(self.sock), self.timeout.at, 0)
        check_tunnel(reader.head().status, is_in_step=reader.is_in_step)
        self.sock.settimeout(self.timeout.left)  # for the TLS handshake


class _Connection(_RacedConnection, connection.HTTPConnection):
    """A connection in the clear, while it is made."""


class _SecureConnection(_RacedConnection, connection.HTTPSConnection):
    """A connection under TLS, while it is made."""

    def connect(self) -> None:
        """Connect. From then on a stream that ends without saying so has been cut short (RFC 9112, section 9.8)."""
        super().connect()
        self.sock.suppress_ragged_eofs = False

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> Any:
        secured = super()._connect_tls_proxy(hostname, sock)
        return _Relay(secured, self.timeout) if self.proxy_is_tunneling else secured


class _Relay:
    """The TLS connection to a proxy, as what carries another one through it.

    One read of the inner connection may take any number of reads of this one, so each has to mind the deadline.
    """

    def __init__(self, sock: ssl.SSLSocket, deadline: Deadline) -> None:
        self._sock = sock
        self._until = deadline.at

    def settimeout(self, seconds: float | None) -> None:
        self._until = None if seconds is None else monotonic() + seconds
        self._sock.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        if self._until is not None:
            left = self._until - monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        return self._sock.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Connections(connectionpool.HTTPConnectionPool):
    """Makes connections in the clear."""

    ConnectionCls: Any = _Connection


class _SecureConnections(connectionpool.HTTPSConnectionPool):
    """Makes connections under TLS."""

    ConnectionCls: Any = _SecureConnection
