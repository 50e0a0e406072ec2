"""Streams over sockets: each read and each write keeps a deadline, with as few system calls as there can be."""

from __future__ import annotations

import re
import select
import ssl
from time import monotonic
from typing import Any, NamedTuple

from urllib3.util.ssltransport import SSLTransport
from urllib3.util.wait import wait_for_read, wait_for_socket

from .._sockets import await_acknowledgement
from ..http11 import MAX_HEAD

# Larger bodies are sent in pieces of this many bytes, with an eye on the server, which may answer before the end.
LARGE = 32 * 1024

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LONGEST_WAIT = 1_000_000.0  # milliseconds; much longer ones overflow
_FINAL = re.compile(rb"(?:\A|\r\n\r\n)HTTP/1\.[01] [2-9]")


class AnswerStart(NamedTuple):
    """The first bytes of an answer, and whether the server had the whole request by then."""

    received: bytes
    is_whole: bool

    def __repr__(self) -> str:
        return f"<AnswerStart of {len(self.received)} bytes>"


class _Selected:
    """Stands in for `select.poll` on systems that have none."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def poll(self, milliseconds: float | None = None) -> list[Any]:
        return select.select([self._sock], [], [], None if milliseconds is None else milliseconds / 1000)[0]


def _readable(sock: Any) -> Any:
    if not hasattr(select, "poll"):
        return _Selected(sock)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll


class BlockingStream:
    """Stream over a socket that blocks: a proxy's before there is a tunnel, or TLS inside of TLS."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def is_quiet(self) -> bool:
        """Return True if the stream is open, and nothing has arrived on it."""
        sock = self.sock
        return not (isinstance(sock, SSLTransport) and sock.incoming.pending) and not wait_for_read(self.sock, 0.0)

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        """Read what is there, waiting for it; nothing at the end of the stream."""
        self.sock.settimeout(_left(deadline))
        data: bytes = self.sock.recv(size)
        return data

    def send(self, data: bytes, deadline: float | None) -> AnswerStart | None:
        """Send all. TLS inside of TLS cannot be left halfway."""
        try:
            self.sock.settimeout(_left(deadline))
            self.sock.sendall(data)
        finally:
            del data  # a traceback that shows local variables must not show it
        return None


class Stream:
    """Stream over a socket that does not block. The socket is waited for only if it is not ready."""

    __slots__ = ("_early", "_has_news", "sock")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        sock.settimeout(0)
        self._has_news = _readable(sock).poll

    def is_quiet(self) -> bool:
        """Return True if the stream is open, and nothing has arrived on it that a server has sent."""
        return not self._has_news(0) or self._is_quiet_within()

    def _is_quiet_within(self) -> bool:
        """Return True if what has arrived is of no concern to HTTP, such as a ticket for the next TLS session."""
        if isinstance(self.sock, ssl.SSLSocket):
            try:
                self.sock.recv(1)
            except ssl.SSLWantReadError:
                return True
            except OSError:
                pass
        return False

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        """Read what is there, waiting for it; nothing at the end of the stream."""
        while True:
            self._wait(deadline)
            try:
                data: bytes = self.sock.recv(size)
            except _WOULD_BLOCK:
                continue  # it was a part of a TLS record
            return data

    def _wait(self, deadline: float | None) -> None:
        if deadline is None:
            self._has_news()
            return
        while True:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            if self._has_news(min(left * 1000, _LONGEST_WAIT)):
                return

    def send(self, data: bytes, deadline: float | None) -> AnswerStart | None:
        """Send all, unless the server answers before that; then it may never read the rest."""
        try:
            if len(data) > LARGE:
                return self._send_large(data, deadline)
            try:
                sent = self.sock.send(data)
            except _WOULD_BLOCK:
                sent = 0
            if sent == len(data):
                return None
            return self._send_rest(memoryview(data)[sent:], deadline)
        finally:
            del data  # a traceback that shows local variables must not show it

    def _send_large(self, data: bytes, deadline: float | None) -> AnswerStart | None:
        try:
            await_acknowledgement(self.sock, soon=False)
            early = self._send_rest(memoryview(data), deadline)
        finally:
            del data
        await_acknowledgement(self.sock, soon=True)
        return early

    def _send_rest(self, rest: memoryview, deadline: float | None) -> AnswerStart | None:
        self._early = b""
        while rest:
            if self._has_answer():  # looked for first: a write that fails takes with it what has not been read
                return AnswerStart(self._early, is_whole=False)
            try:
                rest = rest[self.sock.send(rest[:LARGE]) :]
            except _WOULD_BLOCK:
                if not wait_for_socket(self.sock, read=True, write=True, timeout=_left(deadline)):
                    raise TimeoutError from None
        return AnswerStart(self._early, is_whole=True) if self._early else None

    def _has_answer(self) -> bool:
        """Read what has arrived; True if it is more than the start of interim responses (1xx), or the end."""
        seen = len(self._early)
        try:
            self._early += self.sock.recv(64 * 1024)
        except _WOULD_BLOCK:
            return False
        is_interim = self._early.startswith(b"HTTP/1.1 1") and not _FINAL.search(self._early)
        return len(self._early) == seen or len(self._early) > MAX_HEAD or not is_interim


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
