"""HTTP/1.1 as a client needs it (RFC 9112): write a request in one piece, read a response within limits and a deadline.

Strict where laxness is how messages get mixed up: whatever is ambiguous about the length of a response is refused, and
its connection is not used again. Knows nothing of urllib3 or aiohttp: `Parser` takes bytes from anywhere, and `Reader`
is one on anything with `recv` and `settimeout`.

A traceback may show local variables, and servers may repeat what they were sent, the API key included. So no bytes, of
either direction, are bound to a local name where something may be raised.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple, Protocol

from ..errors import ConnectionLost, InvalidResponse, TransportError
from ..http import IDEMPOTENCY_HEADER, Headers, Response, is_echo, is_header_name

MAX_HEAD = 64 * 1024
_READ_SIZE = 16 * 1024
_MAX_READ_SIZE = 256 * 1024
_MAX_CHUNK_LINE = 1024
_FREE_CHUNK_LINE = 16

_KNOWN_CODINGS = frozenset({"br", "compress", "deflate", "x-compress", "zstd"})

_VISIBLE = bytes([ord("\t"), *range(0x20, 0x7F)])
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n")
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

    version: str
    status: int
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"<Head {self.status}>"


ANSWERS_ANOTHER = "the server's reply answers another request"


def render_head(method: str, target: str, headers: Mapping[str, str], length: int | None) -> bytes:
    """Write the head of a request.

    Raises TransportError, without showing the head, if a line of it could be read as anything but what it was meant to
    be: an attempt to smuggle in a header or a second request, or a mistake that amounts to it.
    """
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    if length is not None:
        lines.append(f"content-length: {length}")
    head = "\r\n".join([*lines, "\r\n"]).encode("utf-8", "surrogatepass")
    # With everything that may stand in a line taken away, the ends of our lines are left and nothing else.
    is_sound = head.translate(None, _VISIBLE) == b"\r\n" * (len(lines) + 1)
    if is_sound and " " not in target and _may_start_lines(method, *headers):
        return head
    del lines, head
    raise TransportError("the request has a line that could be read as something else", sent=False, transient=False)


@functools.lru_cache(maxsize=256)
def _may_start_lines(*names: str) -> bool:
    """Whether these may stand at the start of a request's lines. The names of a client are always the same few."""
    return all(map(is_header_name, names)) and not {name.lower() for name in names} & _FRAMING


_FRAMING = {"content-length", "transfer-encoding"}


def parse_head(data: bytes) -> Head | None:
    """Read a head, its empty line included; None unless every byte of it is in order."""
    text = data.decode("latin-1")
    line = _STATUS_LINE.match(text)
    if line is None:
        return None
    headers: dict[str, str] = {}
    position, end = line.end(), len(text) - 2
    while position < end:
        field = _FIELD.match(text, position)
        if field is None:
            return None
        name, value = field.groups()
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
        position = field.end()
    return Head(line[1], int(line[2]), headers)


def is_reusable(head: Head, method: str = "GET") -> bool:
    """Whether another response may follow this one on its connection (RFC 9112, section 9.3).

    None may follow the failure of a POST: a second copy of it, come late, would say of the next that it failed, too.
    """
    if method != "GET" and not 200 <= head.status < 300:
        return False
    if "connection" in head.headers or head.version == "0":
        words = [word.strip() for word in head.headers.get("connection", "").lower().split(",")]
        if "close" in words or (head.version == "0" and "keep-alive" not in words):
            return False
    # A body where none may be: its bytes, if they follow, must not be taken for the next response.
    return head.status not in (204, 304) or _FRAMING.isdisjoint(head.headers)


def body_length(head: Head) -> int | None:
    """Return the length of the body in bytes; -1 if it is chunked, None if it lasts until the connection closes.

    Raises InvalidResponse for framing that could be read in two ways (RFC 9112, section 6.3).
    """
    if head.status in (204, 304):
        return 0
    coding = head.headers.get("transfer-encoding")
    length = head.headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None or head.version == "0":
            del coding, length
            raise InvalidResponse("the server frames its response in an ambiguous way")
        return -1
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) <= 15):
        del coding, length
        raise InvalidResponse("the server sent a Content-Length that is not a number of bytes")
    return int(length)


class Parser:
    """Reads one response from the bytes of a stream, wherever they come from.

    `received` is what has arrived before. `method` and `key`, the idempotency key, are those of the request, and
    `must_echo` says whether a server is known to repeat the key.
    """

    _seen = 0  # how much has been searched in vain
    _budget = MAX_HEAD  # for heads, and for all of a chunked body that is not the body
    _chunk: int | None = None  # size of the chunk that is arriving
    _wanted = _READ_SIZE
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
        """Whether the stream is open and stands right behind the response: more than that would be another's answer."""
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
            head = parse_head(self._take(end))
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
        """Whether so many bytes are there; False if they have to arrive yet."""
        missing = size - len(self._data)
        if missing <= 0:
            return True
        if self._at_end:
            raise ConnectionLost(f"the server closed the connection {missing} bytes too early")
        self._wanted = min(max(missing, _READ_SIZE), _MAX_READ_SIZE)
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


class Reader(Parser):
    """Reads one response from a socket. Nothing it does outlasts the deadline, a monotonic time; None sets no limit.

    `received` is what has been read from the socket before.
    """

    def __init__(  # noqa: PLR0917  # likewise
        self,
        sock: Socket,
        deadline: float | None,
        max_body: int,
        received: bytes = b"",
        method: str = "GET",
        key: str | None = None,
        must_echo: bool = False,  # noqa: FBT001, FBT002  # likewise
    ) -> None:
        super().__init__(max_body, received, method, key, must_echo)
        self._sock = sock
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
        if self._deadline is not None:
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        self.feed(self._sock.recv(self._wanted))


def _chunk_size(line: bytes) -> int | None:
    match = _CHUNK_SIZE.fullmatch(line)
    return None if match is None else int(match[1], 16)


def decode_body(body: bytes, coding: str | None, max_size: int) -> bytes:
    """Undo the content coding. Raises InvalidResponse if it is unknown, broken, or hides over `max_size` bytes."""
    coding = (coding or "identity").strip().lower()
    if coding == "identity" or not body:
        return body
    # Its name is not shown unless we know it: it might be anything, the start of the API key included.
    shown = f"the content coding {coding!r}" if coding in _KNOWN_CODINGS else "a content coding"
    problem = f"the server used {shown} that was not asked for"
    if coding in ("gzip", "x-gzip"):
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            data = inflate.decompress(body, max_size + 1)
        except zlib.error:
            problem = "the compressed body of the response is broken"
        else:
            if len(data) > max_size:
                problem = f"the response is larger than the limit of {max_size} bytes when decompressed"
            elif inflate.eof and not inflate.unused_data:
                return data
            else:
                problem = "the compressed body of the response is cut short, or something follows it"
            del data
    del body, coding
    raise InvalidResponse(problem)


def as_response(head: Head, body: bytes, max_size: int) -> Response:
    """Return the response that a head and a body, still encoded, make. Raises as `decode_body` does."""
    try:
        decoded = decode_body(body, head.headers.get("content-encoding"), max_size)
    except InvalidResponse as failure:
        failure.status = head.status
        raise
    finally:
        del body
    return Response(
        status=head.status, headers=Headers.of(head.headers), body=decoded, http_version="1." + head.version
    )
