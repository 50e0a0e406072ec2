"""Forms with files as browsers send them: `multipart/form-data` (RFC 7578), read from a body that is here as a whole.

The body is bounded before it gets here. Nothing but names, file names and contents is read, and each content is copied
once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOUNDARY = re.compile(r"""\s*multipart/form-data\s*;(?:.*;)?\s*boundary=("?)([0-9A-Za-z'()+_,./:=?-]{1,70})\1\s*""")
_LONGEST_HEAD = 4096  # bytes of the headers of a part
_DISPOSITION = re.compile(r"content-disposition\s*:\s*form-data\s*(;.*)", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename)="([^"]*)"', re.IGNORECASE)
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # those that browsers use in names


class Part(NamedTuple):
    """One field of a form; `file_name` is None unless it is a file."""

    name: str
    file_name: str | None
    content: bytes


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary that a Content-Type names, None if it is not that of a form with files."""
    match = _BOUNDARY.fullmatch(content_type)
    return None if match is None else match[2].encode()


def read_parts(body: bytes, boundary: bytes, most: int) -> Iterator[Part]:
    """Yield the parts of a form, `most` of them at most. Raises ValueError for what a browser does not send."""
    between = b"\r\n--" + boundary
    position = len(between) - 2  # the first one has no line before it
    if not body.startswith(between[2:]):
        raise ValueError("it does not begin with its boundary")
    for _ in range(most + 1):
        if body.startswith(b"--", position):
            return
        if not body.startswith(b"\r\n", position):
            raise ValueError("its boundary is not a line")
        head_end = body.find(b"\r\n\r\n", position, position + _LONGEST_HEAD)
        end = body.find(between, head_end + 2)
        if head_end < 0 or end < 0:
            raise ValueError("a part is cut off")
        yield _part(body[position + 2 : head_end].decode(), body[head_end + 4 : end])
        position = end + len(between)
    raise ValueError("it has too many parts")


def _part(head: str, content: bytes) -> Part:
    for line in head.split("\r\n"):
        if disposition := _DISPOSITION.fullmatch(line):
            found = {name.lower(): _unescaped(value) for name, value in _PARAMETER.findall(disposition[1])}
            if "name" in found:
                return Part(found["name"], found.get("filename"), content)
    raise ValueError("a part has no name")


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text
