"""The connections below httpx. Each read and each write keeps the deadline of the exchange that it belongs to.

The timeouts of httpx are for each read and each write, so that a server could make a request last for ever.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Iterable
from time import monotonic
from typing import Any

import httpcore

from .exchange import current

_PIECE = 64 * 1024


class Stream(httpcore.NetworkStream):
    """A connection, around the one that httpcore has made.

    Attributes:
        is_spent: Set it, and the connection is closed instead of used again.
        echoes: Whether the server has repeated an idempotency key on it.
    """

    def __init__(self, inner: httpcore.NetworkStream, max_age: float) -> None:
        self._inner = inner
        self._socket: socket.socket = inner.get_extra_info("socket")
        self._max_age = max_age
        self._opened = monotonic()
        self.is_spent = False
        self.echoes = False
        current.get().stream = self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # the deadline counts
        """Read what is there, waiting for it."""
        exchange = current.get()
        exchange.stream = self
        data = self._inner.read(max_bytes, exchange.left(httpcore.ReadTimeout))
        exchange.receive(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  # likewise
        """Send all, unless the server answers before that: httpcore takes a WriteError as a reason to read on."""
        exchange = current.get()
        exchange.stream = self
        exchange.was_sent = True
        for start in range(0, len(buffer), _PIECE):
            if start and self._answers_first(exchange.left(httpcore.WriteTimeout)):
                raise httpcore.WriteError("the server answers before the end of the request")
            self._inner.write(buffer[start : start + _PIECE], exchange.left(httpcore.WriteTimeout))

    def _answers_first(self, timeout: float | None) -> bool:
        """Wait until the connection takes or has data. Return True if it has some."""
        readable, writable, _ = select.select([self._socket], [self._socket], [], timeout)
        if not (readable or writable):
            raise httpcore.WriteTimeout("no time left")
        return bool(readable)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002  # the deadline counts
    ) -> Stream:
        """Return the same connection with TLS."""
        left = current.get().left(httpcore.ConnectTimeout)
        return Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._max_age)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for. It closes a connection that is readable before the next request."""
        if info == "is_readable" and (self.is_spent or monotonic() - self._opened > self._max_age):
            return True
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        """Close the connection. A thread that waits for it wakes up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._inner.close()


class Backend(httpcore.NetworkBackend):
    """Makes such connections, which are not used for longer than so many seconds."""

    def __init__(self, max_age: float) -> None:
        self._inner = httpcore.SyncBackend()
        self._max_age = max_age

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """Connect to the first address of a host that answers."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise httpcore.ConnectError(str(problem)) from None
        *others, last = (str(address[4][0]) for address in found)
        for address in others:
            with contextlib.suppress(httpcore.ConnectError):
                return self._connect(address, port, local_address, socket_options)
        return self._connect(last, port, local_address, socket_options)

    def _connect(
        self, address: str, port: int, local_address: str | None, socket_options: Iterable[Any] | None
    ) -> Stream:
        left = current.get().left(httpcore.ConnectTimeout)
        return Stream(self._inner.connect_tcp(address, port, left, local_address, socket_options), self._max_age)
