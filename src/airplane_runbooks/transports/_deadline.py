"""Deadline of a request: one moment for waiting, connecting, sending and reading together."""

from __future__ import annotations

import contextlib
import socket
import threading
from time import monotonic
from typing import Protocol


class _Descriptor(Protocol):
    def fileno(self) -> int: ...


class Deadline:
    """A moment, as a reading of the monotonic clock in seconds; None without a limit."""

    __slots__ = ("at",)

    def __init__(self, timeout: float | None) -> None:
        self.at = None if timeout is None else monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds left for an operation of a socket.

        A timeout of zero would make the socket non-blocking, so a time that is over has a millisecond left.
        """
        return None if self.at is None else max(self.at - monotonic(), 0.001)

    @property
    def has_passed(self) -> bool:
        """True if no time is left."""
        return self.at is not None and monotonic() >= self.at

    def hold(self, *socks: _Descriptor) -> None:
        """Learn which sockets are used from now on. Raises TimeoutError if the request has been interrupted."""

    def release(self) -> None:
        """Learn that the sockets are no longer used, before another request gets one."""


class InterruptibleDeadline(Deadline):
    """A deadline that another thread can bring forward: it passes, and what its sockets are doing ends at once.

    The sockets are held by descriptors of our own, which no other code can close and which are gone before a connection
    goes back to its pool. So an interrupt never meets another request, nor another file under the same number.

    Attributes:
        is_used: Whether a socket has come into use, so that something may have been sent.
    """

    __slots__ = ("_held", "_is_interrupted", "_lock", "is_used")

    def __init__(self, timeout: float | None) -> None:
        super().__init__(timeout)
        self.is_used = False
        self._lock = threading.Lock()
        self._is_interrupted = False
        self._held: list[int] = []

    def hold(self, *socks: _Descriptor) -> None:
        with self._lock:
            self._drop()
            if self._is_interrupted:
                raise TimeoutError
            self.is_used = True
            self._held += (socket.dup(sock.fileno()) for sock in socks)

    def release(self) -> None:
        with self._lock:
            self._drop()

    def interrupt(self) -> None:
        """End the request in any state; name resolution alone cannot be interrupted."""
        with self._lock:
            self._is_interrupted = True
            self.at = monotonic()  # first: a socket that is shut down before it connects looks as if it had
            while self._held:
                with socket.socket(fileno=self._held.pop()) as sock, contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # of the duplicate: TLS must not notice and go on in the clear

    def _drop(self) -> None:
        while self._held:
            socket.close(self._held.pop())
