"""Happy eyeballs (RFC 8305): the address that answers first is connected to."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Self

from .._addresses import ATTEMPT_DELAY, AddressInfo
from .._deadline import Deadline

_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK})


def connect_first(addresses: Sequence[AddressInfo], deadline: Deadline) -> socket.socket:
    """Return a socket, non-blocking, that is connected to the first address to answer; the others are closed.

    An address is tried a moment after the one before it, or at once if all others have failed. Raises the last OSError
    if all fail, and TimeoutError if the deadline passes.
    """
    with _Race(addresses, deadline) as race:
        while (winner := race.step()) is None:
            pass
        return winner


class _Race:
    """Connections under way."""

    def __init__(self, addresses: Sequence[AddressInfo], deadline: Deadline) -> None:
        self._waiting = deque(addresses)
        self._deadline = deadline
        self._running: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._next_start = monotonic()
        self._problem: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for sock in self._running:
            sock.close()
        self._problem = None  # its traceback may hold a frame that holds this

    def step(self) -> socket.socket | None:
        """Start the next connection if it is time, and wait for one that has been established."""
        if self._waiting and monotonic() >= self._next_start:
            self._start(self._waiting.popleft())
        if self._running:
            return self._wait()
        if not self._waiting and self._problem is not None:
            raise self._problem
        return None

    def _start(self, info: AddressInfo) -> None:
        family, kind, protocol, _, address = info
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as problem:  # a family that this machine does not have
            self._problem = problem
            return
        self._running.add(sock)
        self._deadline.hold(*self._running)
        sock.settimeout(0)
        error = sock.connect_ex(address)
        if error in _UNDER_WAY:
            self._selector.register(sock, selectors.EVENT_WRITE)
            self._next_start = monotonic() + ATTEMPT_DELAY
        else:
            self._fail(sock, error)

    def _wait(self) -> socket.socket | None:
        now = monotonic()
        moments = [] if self._deadline.at is None else [self._deadline.at]
        if self._waiting:
            moments.append(self._next_start)
        ready = self._selector.select(max(0.0, min(moments) - now) if moments else None)
        if self._deadline.has_passed:
            raise TimeoutError
        for key, _ in ready:
            sock: socket.socket = key.fileobj  # type: ignore[assignment]  # only sockets are registered
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not error:
                self._deadline.hold(sock)  # raises if interrupted: until then it is closed with the others
                self._running.remove(sock)
                return sock
            self._selector.unregister(sock)
            self._fail(sock, error)
        return None

    def _fail(self, sock: socket.socket, error: int) -> None:
        self._running.remove(sock)
        sock.close()
        self._problem = OSError(error, os.strerror(error))
        self._next_start = monotonic()
