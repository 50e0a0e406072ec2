"""Heads: a request's is written, a response's is read and judged."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from ...errors import InvalidResponse, TransportError
from ...http import is_header_name

_FRAMING = {"content-length", "transfer-encoding"}
_VISIBLE = bytes([ord("\t"), *range(0x20, 0x7F)])
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n")


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
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    if host is not None:
        lines.insert(1, f"host: {host}")
    if length is not None:
        lines.append(f"content-length: {length}")
    head = "\r\n".join([*lines, "\r\n"]).encode("utf-8", "surrogatepass")
    # With everything that may stand in a line taken away, the ends of our lines are left and nothing else.
    is_sound = head.translate(None, _VISIBLE) == b"\r\n" * (len(lines) + 1)
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
