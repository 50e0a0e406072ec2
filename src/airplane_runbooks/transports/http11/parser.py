"""Parser of one response, and the reader that feeds it from a stream."""

from __future__ import annotations

import re
from typing import Protocol

from ...errors import ConnectionLost, InvalidResponse, TransportError
from ...http import IDEMPOTENCY_HEADER, is_echo
from .heads import Head, body_length, parse_head

MAX_HEAD = 64 * 1024
FIRST_READ = 16 * 1024
_MAX_READ_SIZE = 256 * 1024
_MAX_CHUNK_LINE = 1024
_FREE_CHUNK_LINE = 16
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")

ANSWERS_ANOTHER = "the server's reply answers another request"


class Stream(Protocol):
    """The part of a stream that is needed here."""

    def receive(self, size: int, deadline: float | None, /) -> bytes:
        """Read what is there, or nothing at the end of the stream. Raises TimeoutError if nothing comes in time."""
        ...


class Parser:
    """Reads one response from the bytes of a stream, wherever they come from.

    `received` is what has arrived before. `method` and `key`, the idempotency key, are those of the request, and
    `must_echo` says whether a server is known to repeat the key.
    """

    _seen = 0  # how much has been searched in vain
    _budget = MAX_HEAD  # for heads, and for all of a chunked body that is not the body
    _chunk: int | None = None  # size of the chunk that is arriving
    _wanted = FIRST_READ
    _at_end = False

    def __init__(  # made for each request, and keywords cost
        self,
        max_body: int,
        received: bytes = b"",
        method: str = "GET",
        key: str | None = None,
        must_echo: bool = False,  # noqa: FBT001, FBT002  # likewise
    ) -> None:
        self._max_body = max_body
        self._data = bytearray(received)
        self._chunks = bytearray()
        self._method = method
        self._key = key
        self.must_echo = must_echo

    @property
    def is_in_step(self) -> bool:
        """True if the stream is open and stands right behind the response: further bytes would be another answer."""
        return not self._data and not self._at_end

    def feed(self, data: bytes) -> None:
        """Take what has arrived; nothing is the end of the stream."""
        if data:
            self._data += data
        else:
            self._at_end = True

    def head(self) -> Head | None:
        """Return the head of the final response, skipping interim ones (1xx); None if more has to arrive."""
        while end := self._find(b"\r\n\r\n", self._budget, "the head of the response", start=b"HTTP/1."):
            self._budget -= end
            head = parse_head(self._take(end)[:-4])
            if head is None:
                raise InvalidResponse("the server's answer does not start with a well-formed HTTP/1.1 head")
            if head.status == 101:
                raise InvalidResponse("the server switched to another protocol without being asked")
            if head.status >= 200:
                self._budget = MAX_HEAD
                echo = head.headers.get(IDEMPOTENCY_HEADER)
                if echo != self._key and (echo is not None or self.must_echo):
                    del echo
                    self._check_echo(head)
                return head
        return None

    def _check_echo(self, head: Head) -> None:
        """Refuse the reply to another request: there is no telling what became of this one."""
        echo = head.headers.get(IDEMPOTENCY_HEADER)
        if echo is None:
            # An error may come from a proxy, which repeats nothing.
            is_another = self.must_echo and self._method != "GET" and 200 <= head.status < 300
        else:
            is_another = not is_echo(echo, self._key)
        del echo
        if is_another:
            failure = InvalidResponse(ANSWERS_ANOTHER, transient=True)
            failure.status = head.status
            raise failure

    def body(self, head: Head) -> bytes | None:
        """Return the body, still encoded; None if more has to arrive. An error tells the status, for the head has."""
        try:
            length = body_length(head)
            if length == -1:
                return self._chunked()
            if length is None:
                return self._until_closed()
            self._check_size(length)
            return self._take(length) if self._has(length) else None
        except TransportError as failure:
            failure.status = head.status
            raise

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise InvalidResponse(f"the response is larger than the limit of {self._max_body} bytes")

    def _take(self, size: int) -> bytes:
        data = bytes(memoryview(self._data)[:size])
        del self._data[:size]
        return data

    def _find(self, mark: bytes, limit: int, what: str, start: bytes = b"") -> int:
        """Return where `mark` ends; 0 if it has to arrive yet.

        What does not begin with `start` is refused at its first bytes: another protocol may never send `mark`.
        """
        found = self._data.find(mark, self._seen)
        if 0 <= found <= limit:
            self._seen = 0
            return found + len(mark)
        if len(self._data) > limit:
            raise InvalidResponse(f"{what} is larger than {limit} bytes")
        if not start.startswith(self._data[: len(start)]):
            raise InvalidResponse("the server's answer does not start with an HTTP/1.1 status line")
        if self._at_end:
            raise ConnectionLost(f"the server closed the connection before the end of {what}")
        self._seen = max(0, len(self._data) - len(mark) + 1)
        return 0

    def _has(self, size: int) -> bool:
        """Return True if so many bytes are there, False if they have yet to arrive."""
        missing = size - len(self._data)
        if missing <= 0:
            return True
        if self._at_end:
            raise ConnectionLost(f"the server closed the connection {missing} bytes too early")
        self._wanted = min(max(missing, FIRST_READ), _MAX_READ_SIZE)
        return False

    def _until_closed(self) -> bytes | None:
        self._check_size(len(self._data))
        return self._take(len(self._data)) if self._at_end else None

    def _chunked(self) -> bytes | None:
        while self._chunk != 0:
            if self._chunk is None:
                if not self._begins_chunk():
                    return None
            elif self._has(self._chunk + 2):
                self._chunks += self._take(self._chunk)
                self._chunk = None
                if self._take(2) != b"\r\n":
                    raise InvalidResponse("the server sent a chunk longer than it said")
            else:
                return None
        while end := self._find(b"\r\n", self._budget, "the trailers of the response"):
            self._budget -= end
            self._take(end)
            if end == 2:
                return bytes(self._chunks)
        return None

    def _begins_chunk(self) -> bool:
        """Take the size of the next chunk; False if it has to arrive yet."""
        end = self._find(b"\r\n", _MAX_CHUNK_LINE, "the size of a chunk")
        if not end:
            return False
        size = self._chunk = _chunk_size(self._take(end))
        if size is None:
            raise InvalidResponse("the server sent a malformed chunk size")
        self._check_size(len(self._chunks) + size)
        self._budget -= max(0, end - _FREE_CHUNK_LINE - size)
        if self._budget < 0:
            raise InvalidResponse("the server's response is mostly extensions of its chunks")
        return True


def whole_response(data: bytes, max_body: int, key: str | None, must_echo: bool) -> tuple[Head, bytes] | None:  # noqa: FBT001  # likewise
    """Return the head and the body of a response that has arrived in one piece, which ends with it; else None.

    It is what most responses are, and a fraction of the work of a `Parser`, which has to read all others.
    """
    start, mark, body = data.partition(b"\r\n\r\n")
    head = parse_head(start) if mark and len(start) <= MAX_HEAD else None
    if head is None or head.status < 200 or head.status in (204, 304):
        return None
    headers = head.headers
    echo = headers.get(IDEMPOTENCY_HEADER)
    if echo != key and (echo is not None or must_echo):
        return None
    if "transfer-encoding" in headers or headers.get("content-length") != str(len(body)) or len(body) > max_body:
        return None
    return head, body


class StreamReader(Parser):
    """Reads one response from a stream. Nothing it does outlasts the deadline, a monotonic time; None sets no limit.

    `received` is what has been read from the stream before.
    """

    def __init__(  # noqa: PLR0917  # likewise
        self,
        stream: Stream,
        deadline: float | None,
        max_body: int,
        received: bytes = b"",
        method: str = "GET",
        key: str | None = None,
        must_echo: bool = False,  # noqa: FBT001, FBT002  # likewise
    ) -> None:
        super().__init__(max_body, received, method, key, must_echo)
        self._stream = stream
        self._deadline = deadline

    def head(self) -> Head:
        """Read the head of the final response, skipping interim ones (1xx)."""
        if not self._data:
            self._fill()
        while (head := Parser.head(self)) is None:
            self._fill()
        return head

    def body(self, head: Head) -> bytes:
        """Read the body, still encoded. An error tells the status, for the head has arrived."""
        while (body := Parser.body(self, head)) is None:
            self._fill()
        return body

    def _fill(self) -> None:
        """Read what has arrived, waiting for it until the deadline."""
        self.feed(self._stream.receive(self._wanted, self._deadline))


def _chunk_size(line: bytes) -> int | None:
    match = _CHUNK_SIZE.fullmatch(line)
    return None if match is None else int(match[1], 16)
