"""Deadline of a request: one moment for waiting, connecting, sending and reading together."""

from __future__ import annotations

import contextlib
import socket
import threading
from time import monotonic
from typing import Any, Protocol

import urllib3


class _Descriptor(Protocol):
    def fileno(self) -> int: ...


class Deadline(urllib3.Timeout):
    """A urllib3 timeout that is one moment.

    Where urllib3 takes the number of seconds for a connection out of it, it gets this object again: so it travels as
    the `timeout` of the connection, and each of our steps asks it for what is left by then.
    """

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

    @property
    def connect_timeout(self) -> Any:
        return self

    @property
    def read_timeout(self) -> Any:
        return self

    def hold(self, sock: _Descriptor | None) -> None:
        """Learn which socket, if any, is used from now on. Raises TimeoutError if the request has been interrupted."""

    def release(self) -> None:
        """Learn that the socket is no longer used, before another request gets it."""


class InterruptibleDeadline(Deadline):
    """A deadline that another thread can bring forward: it passes, and what its socket is doing ends at once.

    The socket is held by a descriptor of our own, which no other code can close and which is gone before the connection
    goes back to its pool. So an interrupt never meets another request, nor another file under the same number.

    Attributes:
        is_used: Whether a socket has come into use, so that something may have been sent.
    """

    def __init__(self, timeout: float | None) -> None:
        super().__init__(timeout)
        self.is_used = False
        self._lock = threading.Lock()
        self._is_interrupted = False
        self._held: int | None = None

    def hold(self, sock: _Descriptor | None) -> None:
        with self._lock:
            self._drop()
            if self._is_interrupted:
                raise TimeoutError
            self.is_used = True
            if sock is not None:
                self._held = socket.dup(sock.fileno())

    def release(self) -> None:
        with self._lock:
            self._drop()

    def interrupt(self) -> None:
        """End the request in any state; name resolution alone cannot be interrupted."""
        with self._lock:
            self._is_interrupted = True
            self.at = monotonic()  # first: a socket that is shut down before it connects looks as if it had
            if self._held is not None:
                with socket.socket(fileno=self._held) as sock, contextlib.suppress(OSError):
                    self._held = None
                    sock.shutdown(socket.SHUT_RDWR)  # of the duplicate: TLS must not notice and go on in the clear

    def _drop(self) -> None:
        if self._held is not None:
            socket.close(self._held)
            self._held = None
