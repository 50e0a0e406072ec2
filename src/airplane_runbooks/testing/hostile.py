"""A server on loopback that behaves as badly as it is told to, one script for each connection."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import quote

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self._stopping = stopping
        self._data = bytearray()

    def read_request(self) -> bytes:
        """Return the next whole request, or nothing if the client has closed the connection."""
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return b""
        length = _CONTENT_LENGTH.search(self._data, 0, end)
        size = end + 4 + (int(length[1]) if length else 0)
        while len(self._data) < size and self._more():
            pass
        request = bytes(self._data[:size])
        del self._data[:size]
        return request

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._data += data
        return bool(data)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def drip(self, data: bytes, every: float = 0.25) -> None:
        """Send one byte at a time, each after a pause in seconds, until the end or until the server stops."""
        while data and not self._stopping.wait(every):
            self.send(data[:1])
            data = data[1:]

    def stay_silent(self) -> None:
        """Do nothing until the server stops, a minute at most: a client without timeouts must not wait for ever."""
        self._stopping.wait(60)

    def reset(self) -> None:
        """End the connection with a reset instead of an orderly close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self) -> None:
        """Say that nothing more will come, and go on listening."""
        self.sock.shutdown(socket.SHUT_WR)


Script = Callable[[Peer], None]


class HostileServer:
    """Listens, on loopback by default, and hands each connection to a script on a thread of its own.

    With a `path`, it listens on a Unix-domain socket instead.

    Attributes:
        connections: How many connections have been accepted.
    """

    def __init__(
        self,
        script: Script,
        *,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        path: str | None = None,
    ) -> None:
        self._host = host
        self._path = path
        self._script = script
        self._ssl_context = ssl_context
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.connections = 0

    @property
    def origin(self) -> str:
        """Scheme, host and port, or the scheme and path of a Unix-domain socket."""
        if self._path is not None:
            return f"http+unix://{quote(self._path, safe='')}"
        return f"{'https' if self._ssl_context else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        if self._path is None:
            self._listener = socket.create_server((self._host, 0), backlog=128)
            self.port: int = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(self._path)
            self._listener.listen(128)
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # it may be gone already
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # the server stops
            self.connections += 1
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock if self._ssl_context is None else self._secured(sock, self._ssl_context) as stream:
                self._script(Peer(stream, self._stopping))
        except OSError:
            pass  # the client, or the end of the server, cut the script short
        finally:
            sock.close()

    def _secured(self, sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        stream = context.wrap_socket(sock, server_side=True)
        self._sockets.append(stream)
        return stream


def reply(body: bytes = b"{}", *, status: str = "200 OK", headers: bytes = b"") -> bytes:
    """Return a well-formed response."""
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status.encode(), headers, len(body), body)


def always(response: bytes) -> Script:
    """Return a script that gives every request the same answer."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(response)

    return script


def after_request(*actions: Callable[[Peer], object]) -> Script:
    """Return a script that reads one request and then acts."""

    def script(peer: Peer) -> None:
        peer.read_request()
        for action in actions:
            action(peer)

    return script
