"""A transport over the standard library's sockets, as short as one can be that keeps every promise."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections import defaultdict
from math import inf
from time import monotonic
from urllib.parse import urlsplit

from airplane_runbooks import AttemptTimeout, ClientClosed, ConnectError, ConnectionLost, Request, Response
from airplane_runbooks.transports.base import call_in_children
from airplane_runbooks.transports.http11 import Head, StreamReader, as_response, is_reusable, render_head

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class SocketTransport:
    """Carries one attempt over a socket of its own or over one that is idle. Threads may share it."""

    def __init__(
        self,
        *,
        pool_size: int = 16,
        max_response_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        max_connection_idle: float | None = 55.0,
        max_connection_age: float | None = 600.0,
    ) -> None:
        self.pool_size = pool_size
        self._max_response_bytes = max_response_bytes
        self._ssl_context = ssl_context or ssl.create_default_context()
        self._idle_limit = inf if max_connection_idle is None else max_connection_idle
        self._age_limit = inf if max_connection_age is None else max_connection_age
        self._closed = False
        self._reset()
        call_in_children(self, SocketTransport._reset)  # a forked child must not share sockets with its parent

    def _reset(self) -> None:
        self._places = threading.Semaphore(self.pool_size)
        self._lock = threading.Lock()
        self._idle: dict[str, list[Connection]] = defaultdict(list)

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt."""
        if self._closed:
            raise ClientClosed("the transport has been closed")
        if timeout is not None and timeout <= 0:
            raise AttemptTimeout("no time to send the request in", sent=False)
        deadline = inf if timeout is None else monotonic() + timeout
        if not self._places.acquire(timeout=timeout):
            raise ConnectError(f"all {self.pool_size} connections stayed busy until the time was up")
        try:
            return self._exchange(request, deadline)
        finally:
            self._places.release()

    def _exchange(self, request: Request, deadline: float) -> Response:
        connection = self._take(request.origin) or Connection(request.origin, self._ssl_context, deadline)
        try:
            response = connection.exchange(request, deadline, self._max_response_bytes)
        except BaseException:  # Ctrl-C included: an answer that comes later must not be read by the next request
            connection.close()
            raise
        self._give_back(request.origin, connection)
        return response

    def _take(self, origin: str) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle[origin]:
                    return None
                connection = self._idle[origin].pop()
            now = monotonic()
            is_young = now - connection.used <= self._idle_limit and now - connection.opened <= self._age_limit
            if is_young and connection.is_quiet():
                return connection
            connection.close()

    def _give_back(self, origin: str, connection: Connection) -> None:
        with self._lock:
            if connection.is_reusable and not self._closed:
                self._idle[origin].append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close all idle connections. Those in use are closed by their requests."""
        with self._lock:
            self._closed = True
            idle = [connection for connections in self._idle.values() for connection in connections]
            self._idle.clear()
        for connection in idle:
            connection.close()


class Connection:
    """A connected socket, which carries one request at a time."""

    def __init__(self, origin: str, ssl_context: ssl.SSLContext, deadline: float) -> None:
        url = urlsplit(origin)
        self._host = url.netloc
        port = url.port or (443 if url.scheme == "https" else 80)
        self._sock = _connected(url.hostname or "", port, ssl_context if url.scheme == "https" else None, deadline)
        self._sock.settimeout(0)  # each operation waits for the deadline of its request
        self._echoes = False  # whether the server has repeated an idempotency key
        self.is_reusable = False
        self.opened = self.used = monotonic()

    def is_quiet(self) -> bool:
        """Return True if nothing has arrived since the last response: neither its end nor bytes of another one."""
        return not self._wait(READ, 0)

    def exchange(self, request: Request, deadline: float, max_body: int) -> Response:
        """Send a request and read its response."""
        key = request.headers.get("idempotency-key")
        length = None if request.body is None else len(request.body)
        head = render_head(request.method, request.target, request.headers.raw(), length, self._host)
        answer = None
        try:
            was_sent, received = self._send(head + (request.body or b""), deadline)
            reader = StreamReader(self, deadline, max_body, received, request.method, key, self._echoes)
            answer = reader.head()
            body = reader.body(answer)
        except TimeoutError as failure:
            raise AttemptTimeout("no time left for the exchange") from failure
        except OSError as failure:
            raise _lost(failure, answer) from failure
        self._echoes = self._echoes or "idempotency-key" in answer.headers
        self.is_reusable = was_sent and reader.is_in_step and is_reusable(answer, request.method)
        self.used = monotonic()
        return as_response(answer, body, max_body)

    def _send(self, data: bytes, deadline: float) -> tuple[bool, bytes]:
        """Send until all is sent or the server answers. Return whether all was sent, and what has been received."""
        left = memoryview(data)
        while left:
            ready = self._wait(READ | WRITE, deadline - monotonic())
            if not ready:
                raise TimeoutError
            try:
                if ready & READ:
                    return False, self._sock.recv(16384)
                left = left[self._sock.send(left[:65536]) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue  # it was not the answer that arrived, but a record of TLS itself
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                return False, b""  # the server may have answered before it stopped listening
        return True, b""

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        """Read what is there, as a `StreamReader` asks for it: nothing at the end of the stream."""
        while True:
            try:
                return self._sock.recv(size)
            except ssl.SSLEOFError:
                return b""
            except (BlockingIOError, ssl.SSLWantReadError):
                if not self._wait(READ, inf if deadline is None else deadline - monotonic()):
                    raise TimeoutError from None

    def _wait(self, events: int, seconds: float) -> int:
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, events)
            found = selector.select(None if seconds == inf else max(seconds, 0))
        return found[0][1] if found else 0

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def _connected(host: str, port: int, ssl_context: ssl.SSLContext | None, deadline: float) -> socket.socket:
    """Return a connected socket, after the handshake of TLS if there is one."""
    try:
        sock = _dialled(host, port, deadline)
        if ssl_context is None:
            return sock
        sock.settimeout(_left(deadline))
        return ssl_context.wrap_socket(sock, server_hostname=host)
    except TimeoutError as failure:
        raise AttemptTimeout("no time left while connecting", sent=False) from failure
    except ssl.SSLCertVerificationError as failure:
        raise ConnectError(
            f"the server's certificate is not trusted: {failure.verify_message}", transient=False
        ) from failure
    except (OSError, UnicodeError) as failure:
        raise ConnectError(f"no connection to {host}: {failure}") from failure


def _dialled(host: str, port: int, deadline: float) -> socket.socket:
    """Try the addresses of a host one after another, all within one deadline."""
    problem: OSError = ConnectionRefusedError("the name has no address")
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_left(deadline))
            sock.connect(address)
            return sock
        except OSError as failure:
            problem = failure
            sock.close()
    raise problem


def _left(deadline: float) -> float | None:
    return None if deadline == inf else max(deadline - monotonic(), 0.001)  # zero would not wait at all


def _lost(failure: OSError, answer: Head | None) -> ConnectionLost:
    lost = ConnectionLost(f"the connection broke: {failure.strerror or type(failure).__name__}")
    lost.status = None if answer is None else answer.status
    return lost
