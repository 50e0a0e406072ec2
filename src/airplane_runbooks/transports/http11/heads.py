"""Heads: a request's is written, a response's is read and judged."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...errors import InvalidResponse, TransportError
from ...http import is_header_name

_FRAMING = {"content-length", "transfer-encoding"}
_VISIBLE = bytes([ord("\t"), *range(0x20, 0x7F)])
_IN_LINES = _VISIBLE + bytes(range(0x80, 0x100))
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?\r\n")
_FIELD = re.compile(r"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*)")


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
    lines = [f"{method} {target} HTTP/1.1", *map(": ".join, headers.items()), "\r\n"]
    if host is not None:
        lines[0] += f"\r\nhost: {host}"
    if length is not None:
        lines[0] += f"\r\ncontent-length: {length}"
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
    # With everything that may stand in a line taken away, the ends of our lines are left and nothing else.
    count = len(lines) + (host is not None) + (length is not None)
    is_sound = head.translate(None, _VISIBLE) == b"\r\n" * count
    if is_sound and " " not in target and _may_start_lines(method, *headers):
        return head
    del lines, head, headers
    raise TransportError("the request has a line that could be read as something else", sent=False, transient=False)


@functools.lru_cache(maxsize=256)
def _may_start_lines(*names: str) -> bool:
    """Return True if these may start lines of a request. Cached, since a client always sends the same few names."""
    return all(map(is_header_name, names)) and not {name.lower() for name in names} & _FRAMING


def parse_head(data: bytes) -> Head | None:
    """Read a head, its empty line included; None unless every byte of it is in order."""
    text = data.decode("latin-1")
    line = _STATUS_LINE.match(text)
    fields = _FIELD.findall(text)
    # Each line is a field, and there are the ends of lines and nothing else that may not stand in one.
    if line is None or data.translate(None, _IN_LINES) != b"\r\n" * (len(fields) + 2):
        return None
    if not fields:
        return Head(line[1], int(line[2]), {})
    names, values = zip(*fields, strict=True)
    if " \r" in text or "\t\r" in text:
        values = tuple(value.rstrip(" \t") for value in values)
    lowered = "\n".join(names).lower().split("\n")
    headers: dict[str, str] = dict(zip(lowered, values, strict=True))
    if len(headers) != len(lowered):
        headers = _joined(lowered, values)
    return Head(line[1], int(line[2]), headers)


def _joined(names: Iterable[str], values: Iterable[str]) -> dict[str, str]:
    """Return headers of which some repeat."""
    headers: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
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
