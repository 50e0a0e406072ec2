"""Heads: a request's is written, a response's is read and judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...errors import InvalidResponse, TransportError
from .lines import FRAMING, BadLine, RequestFields, RequestLines, ResponseFields, StatusLines

_request_line = RequestLines().__getitem__
_request_field = RequestFields().__getitem__
_status_line = StatusLines().__getitem__
_response_field = ResponseFields().__getitem__


class Head(NamedTuple):
    """Status line and headers of a response."""

    version: str
    status: int
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"<Head {self.status}>"


def render_head(
    method: str, target: str, headers: Mapping[str, str], length: int | None, host: str | None = None
) -> bytes:
    """Write the head of a request. `host` is given unless it is among the headers.

    Raises TransportError, without showing the head, if a line of it could be read as anything but what it was meant to
    be: an attempt to smuggle in a header or a second request, or a mistake that amounts to it.
    """
    try:
        return b"".join(
            [
                _request_line((method, target, host)),
                b"" if length is None else b"content-length: %d\r\n" % length,
                *map(_request_field, headers.items()),
                b"\r\n",
            ]
        )
    except BadLine:
        pass  # what its traceback holds is gone before the error is raised
    del headers
    raise TransportError("the request has a line that could be read as something else", sent=False, transient=False)


def parse_head(data: bytes) -> Head | None:
    """Read a head, given without its empty line; None unless every byte of it is in order."""
    lines = data.split(b"\r\n")
    try:
        version, status = _status_line(lines[0])
        del lines[0]
        headers = dict(map(_response_field, lines))
        if len(headers) != len(lines):
            headers = _joined(map(_response_field, lines))
    except BadLine:
        return None
    return Head(version, status, headers)


def _joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers of which some repeat."""
    headers: dict[str, str] = {}
    for name, value in fields:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def is_reusable(head: Head, method: str = "GET") -> bool:
    """Return True if another response may follow this one on its connection (RFC 9112, section 9.3).

    None may follow the failure of a POST: a second copy of it, come late, would say of the next that it failed, too.
    """
    if method != "GET" and not 200 <= head.status < 300:
        return False
    if "connection" in head.headers or head.version == "0":
        words = [word.strip() for word in head.headers.get("connection", "").lower().split(",")]
        if "close" in words or (head.version == "0" and "keep-alive" not in words):
            return False
    # A body where none may be: its bytes, if they follow, must not be taken for the next response.
    return head.status not in (204, 304) or FRAMING.isdisjoint(head.headers)


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
