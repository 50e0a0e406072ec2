"""Connections of urllib3's pools that read and write HTTP/1.1 themselves, before one deadline."""

from __future__ import annotations

import re
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from urllib3 import connection, connectionpool
from urllib3.exceptions import HTTPError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssltransport import SSLTransport
from urllib3.util.wait import wait_for_socket

from ...errors import (
    AttemptTimeout,
    ConnectError,
    ConnectionLost,
    TransportError,
)
from ...http import IDEMPOTENCY_HEADER, Fields
from .._addresses import race_order
from .._connection_queue import ConnectionQueue
from .._deadline import Deadline
from .._proxies import check_tunnel, tunnel_target
from ..http11 import (
    MAX_HEAD,
    Head,
    SocketReader,
    is_reusable,
    render_head,
)

# Bodies up to this size go out in one piece with the head: one packet, one TLS record, one system call.
_JOINED_BODY = 64 * 1024
_PIECE = 64 * 1024

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_NOT_LISTENING = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
_FINAL = re.compile(rb"(?:\A|\r\n\r\n)HTTP/1\.[01] [2-9]")


class Answer:
    """Response with the attributes that urllib3's pool reads, and instrumentation that wraps its methods."""

    __slots__ = ("_connection", "_pool", "body", "head", "headers", "retries", "status")

    length_remaining = 0

    def __init__(self, head: Head, body: bytes) -> None:
        self.head = head
        self.status = head.status
        self.headers = head.headers
        self.body = body

    @property
    def version_string(self) -> str:
        return "HTTP/1." + self.head.version

    @property
    def version(self) -> int:
        return int("1" + self.head.version)


if TYPE_CHECKING:
    _Base = connection.HTTPConnection
else:
    _Base = object  # mixed with either kind of connection below


class _DeadlineConnection(_Base):
    """Mixin that replaces http.client's I/O: connect, send and receive before one deadline."""

    sock: Any
    timeout: Any  # the Deadline of the request that has the connection
    _received: bytes
    _is_whole: bool
    _method: str
    _key: str | None
    _echoes = False  # whether the server has repeated an idempotency key

    def __init__(self, *args: Any, max_response_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_response_bytes = max_response_bytes

    def connect(self) -> None:
        """Connect. An error here means that no byte of the request was sent."""
        try:
            super().connect()
        except TimeoutError as failure:
            raise AttemptTimeout("no time left while connecting", sent=False) from failure
        except TransportError as failure:
            problem = f"the proxy did not open a tunnel: {failure}"
            raise ConnectError(problem, transient=failure.transient) from failure
        except (OSError, ValueError, HTTPError) as failure:
            # A name that cannot be one, or a certificate not to be trusted, which will both be the same next time.
            raise ConnectError(f"no connection: {failure}", transient=not isinstance(failure, ValueError)) from failure

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers, each having its share of the time that is left."""
        found = socket.getaddrinfo(self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        addresses = race_order(self._dns_host, found)
        problem = OSError()
        try:
            for index, address in enumerate(addresses):
                try:
                    sock = _connected(address, self.timeout, len(addresses) - index)
                except OSError as failure:
                    problem = failure
                else:
                    sock.settimeout(self.timeout.left)  # for the TLS handshake
                    return sock
            raise problem
        finally:
            del problem  # its traceback holds this frame

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel to the server."""
        target = tunnel_target(str(self._tunnel_host).strip("[]"), self._tunnel_port)
        given = Fields(self._tunnel_headers)  # type: ignore[attr-defined]  # http.client's, which may add Host
        headers = Fields({"host": target, **{name: value for name, value in given.items() if name.lower() != "host"}})
        self.sock.settimeout(self.timeout.left)
        self.sock.sendall(render_head("CONNECT", target, headers, None))
        reader = SocketReader(self.sock, self.timeout.at, 0)
        check_tunnel(reader.head().status, is_in_step=reader.is_in_step)
        self.sock.settimeout(self.timeout.left)  # for the TLS handshake

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **_: Any) -> None:
        """Send a request."""
        if not self.sock:
            self.connect()
        length = None if body is None else len(body)
        self._received = b""
        self._is_whole = True
        self._method = method
        self._key = headers.get(IDEMPOTENCY_HEADER)
        try:
            self.timeout.hold(self.sock)
            self.sock.settimeout(self.timeout.left)
            if body is None or len(body) <= _JOINED_BODY:
                self.sock.sendall(render_head(method, url, headers, length) + (body or b""))
            else:
                self.sock.sendall(render_head(method, url, headers, length))
                self._send_watchfully(body)
        except _NOT_LISTENING:
            self._is_whole = False  # the server may have answered before it stopped listening
        except OSError as failure:
            _raise_broken(failure, "sending the request")

    def _send_watchfully(self, body: bytes) -> None:
        """Send a large body, unless the server answers before it is through: then it may never read the rest."""
        if not isinstance(self.sock, socket.socket):  # TLS inside of TLS, which cannot be left halfway
            self.sock.sendall(body)
            return
        rest = memoryview(body)
        self.sock.settimeout(0)
        try:
            while rest:
                if self._has_answer():  # looked for first: a write that fails takes with it what has not been read
                    self._is_whole = False
                    return
                try:
                    rest = rest[self.sock.send(rest[:_PIECE]) :]
                except _WOULD_BLOCK:
                    if not wait_for_socket(self.sock, read=True, write=True, timeout=self.timeout.left):
                        raise TimeoutError from None
        finally:
            self.sock.settimeout(self.timeout.left)

    def _has_answer(self) -> bool:
        """Read what has arrived; True if it is more than the start of interim responses (1xx), or the end."""
        seen = len(self._received)
        try:
            self._received += self.sock.recv(_PIECE)
        except _WOULD_BLOCK:
            return False
        is_interim = self._received.startswith(b"HTTP/1.1 1") and not _FINAL.search(self._received)
        return len(self._received) == seen or len(self._received) > MAX_HEAD or not is_interim

    def getresponse(self) -> Any:
        """Read the whole response. The connection is closed unless it is certain that another may follow on it."""
        reader = SocketReader(
            self.sock, self.timeout.at, self._max_response_bytes, self._received, self._method, self._key, self._echoes
        )
        head: Head | None = None
        try:
            head = reader.head()
            body = reader.body(head)
        except OSError as failure:
            _raise_broken(failure, "waiting for the response", head)
        self.timeout.release()
        self._echoes = self._echoes or IDEMPOTENCY_HEADER in head.headers
        if not (self._is_whole and reader.is_in_step and is_reusable(head, self._method)):
            self.close()
        return Answer(head, body)


def _connected(info: Any, deadline: Deadline, shares: int) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        deadline.hold(sock)
        left = deadline.left
        # What we write is complete, so there is no sense in holding it back until more comes.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(left and left / shares)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _raise_broken(failure: OSError, doing: str, head: Head | None = None) -> NoReturn:
    error: TransportError
    if head is not None:
        doing = "reading the body of the response"
    if isinstance(failure, TimeoutError):
        error = AttemptTimeout(f"no time left while {doing}")
    else:
        error = ConnectionLost(f"the connection broke while {doing}: {failure.strerror or type(failure).__name__}")
    error.status = None if head is None else head.status
    try:
        raise error from failure
    finally:
        del error  # its traceback holds this frame


class _Relay:
    """The TLS connection to a proxy, as what carries another one through it.

    One read of the inner connection may take any number of reads of this one, so each has to mind the deadline.
    """

    def __init__(self, sock: ssl.SSLSocket, wire: _DeadlineConnection) -> None:
        self._sock = sock
        self._wire = wire

    def recv(self, size: int) -> bytes:
        deadline: Deadline = self._wire.timeout
        if deadline.at is not None and monotonic() >= deadline.at:
            raise TimeoutError
        self._sock.settimeout(deadline.left)
        return self._sock.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class HTTPConnection(_DeadlineConnection, connection.HTTPConnection):
    """A connection in the clear."""


class HTTPSConnection(_DeadlineConnection, connection.HTTPSConnection):
    """A connection under TLS."""

    def connect(self) -> None:
        """Connect. From then on a stream that ends without saying so has been cut short (RFC 9112, section 9.8)."""
        super().connect()
        self.sock.suppress_ragged_eofs = False

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> Any:
        secured = super()._connect_tls_proxy(hostname, sock)
        return _Relay(secured, self) if self.proxy_is_tunneling else secured

    @property
    def is_connected(self) -> bool:
        """True if the connection is open, and no unrequested bytes have arrived on it."""
        return super().is_connected and not (isinstance(self.sock, SSLTransport) and self.sock.incoming.pending)


class HTTPPool(connectionpool.HTTPConnectionPool):
    """A pool of our connections."""

    ConnectionCls: Any = HTTPConnection
    QueueCls: Any = ConnectionQueue


class HTTPSPool(connectionpool.HTTPSConnectionPool):
    """A pool of our connections under TLS."""

    ConnectionCls: Any = HTTPSConnection
    QueueCls: Any = ConnectionQueue
