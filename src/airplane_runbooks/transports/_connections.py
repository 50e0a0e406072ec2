"""Connections of urllib3's pools that read and write HTTP/1.1 themselves, before one deadline."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from time import monotonic
from typing import Any, NoReturn

import urllib3
from urllib3 import connection, connectionpool
from urllib3.exceptions import HTTPError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_match_hostname import CertificateError

from ..errors import AttemptTimeout, ConnectError, ConnectionLost, TransportError
from ._http11 import Head, Reader, is_reusable, render_head

# Bodies up to this size go out in one piece with the head: one packet, one TLS record, one system call.
_JOINED_BODY = 64 * 1024


class Deadline(urllib3.Timeout):
    """A urllib3 timeout that counts down to one moment, through waiting for a connection, connecting and sending."""

    def __init__(self, timeout: float | None) -> None:
        self.at = None if timeout is None else monotonic() + timeout

    def clone(self) -> Deadline:
        return self

    def start_connect(self) -> float:
        return 0.0

    def __repr__(self) -> str:
        return f"<{self.left} s left>"

    @property
    def left(self) -> float | None:
        # A timeout of zero would make a socket non-blocking, so what is over has a millisecond left.
        return None if self.at is None else max(self.at - monotonic(), 0.001)

    connect_timeout = left  # pyright: ignore[reportIncompatibleMethodOverride]
    read_timeout = left  # pyright: ignore[reportIncompatibleMethodOverride]


class Answer:
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
        if not self.sock:
            self.connect()
        length = None if body is None else len(body)
        sock = self.sock
        try:
            sock.settimeout(_left(self._deadline))
            if body is None or len(body) <= _JOINED_BODY:
                sock.sendall(render_head(method, url, headers or {}, length) + (body or b""))
            else:
                sock.sendall(render_head(method, url, headers or {}, length))
                sock.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server may have answered before it stopped listening
        except OSError as failure:
            _raise_broken(failure, "sending the request")

    def getresponse(self) -> Answer:
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
        return Answer(head, body)


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


# The pool calls `request` and `getresponse` with less than http.client lets others call them with.
class HTTPConnection(_Wire, connection.HTTPConnection):  # type: ignore[misc]
    """A connection in the clear."""


class HTTPSConnection(_Wire, connection.HTTPSConnection):  # type: ignore[misc]
    """A connection under TLS."""


class HTTPPool(connectionpool.HTTPConnectionPool):
    """A pool of our connections."""

    ConnectionCls: Any = HTTPConnection


class HTTPSPool(connectionpool.HTTPSConnectionPool):
    """A pool of our connections under TLS."""

    ConnectionCls: Any = HTTPSConnection
