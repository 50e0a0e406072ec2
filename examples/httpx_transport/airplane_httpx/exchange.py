"""The state of one request and its response, which the streams below httpx keep."""

from __future__ import annotations

import re
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING

import httpcore

if TYPE_CHECKING:
    from .streams import Stream

_START = b"HTTP/1."
_INTERIM = re.compile(rb"HTTP/1\.[01] 1")
_FOLDED = re.compile(rb"\r\n[ \t]")
_MAX_HEAD = 100_000


class Exchange:
    """One request and its response.

    Attributes:
        stream: The connection that carries it, once there is one.
        status: The status of the response, once its head is there.
        was_sent: Whether a byte of the request may have left.
        saw_end: Whether the server has closed its side.
    """

    def __init__(self, timeout: float | None) -> None:
        self._deadline = None if timeout is None else monotonic() + timeout
        self.stream: Stream
        self.status: int | None = None
        self.was_sent = False
        self.saw_end = False
        self._head = bytearray()
        self._size = 0  # bytes of the head, and of the interim responses (1xx) before it
        self._has_head = False
        self._rest = 0  # bytes after the head

    def left(self, error: type[Exception]) -> float | None:
        """Return the seconds that are left. Raises that error if none are."""
        if self._deadline is None:
            return None
        left = self._deadline - monotonic()
        if left <= 0:
            raise error("no time left")
        return left

    def receive(self, data: bytes) -> None:
        """Look at bytes of the response before httpx sees them. Raises httpcore.RemoteProtocolError."""
        self.saw_end = not data
        if self._has_head:
            self._rest += len(data)
            return
        self._head += data
        self._size += len(data)
        while not self._has_head and (end := self._head.find(b"\r\n\r\n") + 4) > 3:
            self._has_head = not _INTERIM.match(self._head)
            if self._has_head and _FOLDED.search(self._head, 0, end):
                raise httpcore.RemoteProtocolError("it has a folded header")
            del self._head[:end]
        if self._has_head:
            self._rest = len(self._head)
        elif not self._head.startswith(_START[: len(self._head)]):
            raise httpcore.RemoteProtocolError("it does not start as HTTP/1")
        elif self._size > _MAX_HEAD:
            raise httpcore.RemoteProtocolError(f"its head is larger than {_MAX_HEAD} bytes")

    def ends_after(self, body: int) -> bool:
        """Tell whether nothing was received after a body of so many bytes, as they were sent."""
        return self._rest == body


current: ContextVar[Exchange] = ContextVar("airplane_httpx.exchange")
