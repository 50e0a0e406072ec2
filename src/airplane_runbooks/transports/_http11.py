"""HTTP/1.1 as a client needs it (RFC 9112): write a request in one piece, read a response within limits and a deadline.

Strict where laxness is how responses get mixed up: whatever is ambiguous about the length of a message is refused, and
its connection is not used again. Knows nothing of urllib3; works on anything with `recv` and `settimeout`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple, Protocol

from ..errors import ConnectionLost, InvalidResponse, TransportError

MAX_HEAD = 64 * 1024
_READ_SIZE = 16 * 1024
_MAX_READ_SIZE = 256 * 1024
_MAX_CHUNK_LINE = 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")


class Socket(Protocol):
    """The part of a socket that is needed here."""

    def recv(self, size: int, /) -> bytes:
        """Read what is there, or nothing at the end of the stream."""
        ...

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound the operations that follow."""
        ...


class Head(NamedTuple):
    """Status line and headers of a response."""

    version: bytes
    status: int
    headers: dict[str, str]


def render_head(method: str, target: str, headers: Mapping[str, str], length: int | None) -> bytes:
    """Write the head of a request. The names and values must have been checked for what could break a line."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"


def parse_head(data: bytes) -> Head:
    """Read a head, its empty line included. Raises InvalidResponse unless every byte of it is in order."""
    line = _STATUS_LINE.match(data)
    if line is None:
        raise InvalidResponse("the server's answer does not start with an HTTP/1.1 status line")
    headers: dict[str, str] = {}
    position, end = line.end(), len(data) - 2
    while position < end:
        field = _FIELD.match(data, position)
        if field is None:
            raise InvalidResponse("the server sent a malformed header line")
        name, value = field[1].decode("ascii").lower(), field[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
        position = field.end()
    return Head(line[1], int(line[2]), headers)


def is_reusable(head: Head) -> bool:
    """Whether the connection stays open after this response (RFC 9112, section 9.3)."""
    words = head.headers.get("connection", "").lower()
    return "keep-alive" in words if head.version == b"0" else "close" not in words


def body_length(head: Head) -> int | None:
    """Return the length of the body in bytes; -1 if it is chunked, None if it lasts until the connection closes.

    Raises InvalidResponse for framing that could be read in two ways (RFC 9112, section 6.3).
    """
    if head.status in (204, 304):
        return 0
    coding = head.headers.get("transfer-encoding")
    length = head.headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None or head.version == b"0":
            raise InvalidResponse("the server frames its response in an ambiguous way")
        return -1
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) <= 15):
        raise InvalidResponse("the server sent a Content-Length that is not a number of bytes")
    return int(length)


class Reader:
    """Reads one response from a socket. Nothing it does outlasts the deadline, a monotonic time; None sets no limit."""

    def __init__(self, sock: Socket, deadline: float | None, max_body: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._max_body = max_body
        self._data = bytearray()

    @property
    def has_excess(self) -> bool:
        """Whether the server sent more than the response: the connection cannot be trusted with another."""
        return bool(self._data)

    def head(self) -> Head:
        """Read the head of the final response, skipping interim ones (1xx)."""
        budget = MAX_HEAD
        while True:
            self._expect_http()
            data = self._until(b"\r\n\r\n", budget, "the head of the response")
            budget -= len(data)
            head = parse_head(data)
            if head.status == 101:
                raise InvalidResponse("the server switched to another protocol without being asked")
            if head.status >= 200:
                return head

    def _expect_http(self) -> None:
        """Refuse what does not speak HTTP at its first bytes, rather than wait for the end of its head."""
        while self._data.startswith(b"HTTP/1."[: len(self._data)]) and len(self._data) < 7 and self._fill():
            pass
        if not b"HTTP/1.".startswith(self._data[:7]):
            raise InvalidResponse("the server's answer does not start with an HTTP/1.1 status line")

    def body(self, head: Head) -> bytes:
        """Read the body, still encoded. An error tells the status, for the head has arrived."""
        try:
            length = body_length(head)
            if length == -1:
                return self._chunked()
            if length is None:
                return self._until_closed()
            self._check_size(length)
            return self._exactly(length)
        except TransportError as failure:
            failure.status = head.status
            raise

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise InvalidResponse(f"the response is larger than the limit of {self._max_body} bytes")

    def _fill(self, size: int = _READ_SIZE) -> bool:
        """Read what has arrived, waiting for it until the deadline; False at the end of the stream."""
        if self._deadline is not None:
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        data = self._sock.recv(size)
        self._data += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        data = bytes(memoryview(self._data)[:size])
        del self._data[:size]
        return data

    def _until(self, mark: bytes, limit: int, what: str) -> bytes:
        start = 0
        while (found := self._data.find(mark, start)) < 0:
            if len(self._data) > limit:
                raise InvalidResponse(f"{what} is larger than {limit} bytes")
            start = max(0, len(self._data) - len(mark) + 1)
            if not self._fill():
                raise ConnectionLost(f"the server closed the connection before the end of {what}")
        if found > limit:
            raise InvalidResponse(f"{what} is larger than {limit} bytes")
        return self._take(found + len(mark))

    def _exactly(self, size: int) -> bytes:
        while (missing := size - len(self._data)) > 0:
            if not self._fill(min(max(missing, _READ_SIZE), _MAX_READ_SIZE)):
                raise ConnectionLost(f"the server closed the connection {missing} bytes too early")
        return self._take(size)

    def _until_closed(self) -> bytes:
        self._check_size(len(self._data))
        while self._fill():
            self._check_size(len(self._data))
        return self._take(len(self._data))

    def _chunked(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            self._check_size(len(body) + size)
            body += self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise InvalidResponse("the server sent a chunk longer than it said")
        budget = MAX_HEAD
        while (line := self._until(b"\r\n", budget, "the trailers of the response")) != b"\r\n":
            budget -= len(line)
        return bytes(body)

    def _chunk_size(self) -> int:
        line = _CHUNK_SIZE.fullmatch(self._until(b"\r\n", _MAX_CHUNK_LINE, "the size of a chunk"))
        if line is None:
            raise InvalidResponse("the server sent a malformed chunk size")
        return int(line[1], 16)


def decode_body(body: bytes, coding: str | None, max_size: int) -> bytes:
    """Undo the content coding. Raises InvalidResponse if it is unknown, broken, or hides over `max_size` bytes."""
    coding = (coding or "identity").strip().lower()
    if coding == "identity" or not body:
        return body
    if coding not in ("gzip", "x-gzip"):
        raise InvalidResponse(f"the server used the content coding {coding[:40]!r}, which was not asked for")
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        data = inflate.decompress(body, max_size + 1)
    except zlib.error:
        raise InvalidResponse("the compressed body of the response is broken") from None
    if len(data) > max_size:
        raise InvalidResponse(f"the response is larger than the limit of {max_size} bytes when decompressed")
    if not inflate.eof or inflate.unused_data:
        raise InvalidResponse("the compressed body of the response is cut short, or something follows it")
    return data
