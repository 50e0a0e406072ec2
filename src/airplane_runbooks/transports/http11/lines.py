"""Lines of heads, written and read.

Most lines of a message are those of the message before. To find such a line takes a tenth of writing or reading it.
"""

from __future__ import annotations

import functools
import re
from typing import TypeVar

from ...http import IDEMPOTENCY_HEADER, is_credential_header, is_header_name

K = TypeVar("K")
V = TypeVar("V")

FRAMING = frozenset({"content-length", "transfer-encoding"})

_VISIBLE = bytes([ord("\t"), *range(0x20, 0x7F)])
_READABLE = _VISIBLE + bytes(range(0x80, 0x100))
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")

_MOST_KEPT = 256
_LONGEST_KEPT = 256
_VARYING = {IDEMPOTENCY_HEADER, "traceparent", "x-request-id"}


class BadLine(Exception):
    """A line that could be read as something else. It does not show the line."""


class _Lines(dict[K, V]):
    """Lines that have been seen on any connection, with their meaning, which no connection changes.

    Threads may share it. Long lines are not kept, and others only until there are too many.
    """

    def _keep(self, line: K, meaning: V, size: int) -> None:
        if size <= _LONGEST_KEPT:
            if len(self) >= _MOST_KEPT:
                self.clear()
            self[line] = meaning

    def __repr__(self) -> str:
        return f"<{len(self)} lines>"


class RequestLines(_Lines[tuple[str, str, str | None], bytes]):
    """First lines of requests, by method, target and host. Raises BadLine for those that must not be sent."""

    def __missing__(self, key: tuple[str, str, str | None]) -> bytes:
        method, target, host = key
        if " " in target or not (is_header_name(method) and _is_visible(target) and _is_visible(host or "")):
            raise BadLine
        lines = f"{method} {target} HTTP/1.1\r\n"
        if host is not None:
            lines += f"host: {host}\r\n"
        if "?" not in target:  # what is in a query differs each time
            self._keep(key, lines.encode(), len(lines))
        return lines.encode()


class RequestFields(_Lines[tuple[str, str], bytes]):
    """Lines of requests by the name and the value of a header. Raises BadLine for those that must not be sent."""

    def __missing__(self, field: tuple[str, str]) -> bytes:
        name, value = field
        is_kept = _judged(name)
        if is_kept is None or name.lower() in FRAMING or not _is_visible(value):
            raise BadLine
        line = f"{name}: {value}\r\n".encode()
        if is_kept:
            self._keep(field, line, len(line))
        return line


class StatusLines(_Lines[bytes, tuple[str, int]]):
    """Minor version and status, by the first line of a response. Raises BadLine for those that are none."""

    def __missing__(self, line: bytes) -> tuple[str, int]:
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise BadLine
        meaning = found[1].decode(), int(found[2])
        self._keep(line, meaning, len(line))
        return meaning


class ResponseFields(_Lines[bytes, tuple[str, str]]):
    """Headers of responses, with their names in lower case, by their lines. Raises BadLine for those that are none."""

    def __missing__(self, line: bytes) -> tuple[str, str]:
        name, colon, value = line.decode("latin-1").partition(":")
        is_kept = _judged(name)
        if is_kept is None or not colon or (not _is_visible(value) and line.translate(None, _READABLE)):
            raise BadLine
        field = name.lower(), value.strip(" \t")
        if is_kept:
            self._keep(line, field, len(line))
        return field


def _is_visible(text: str) -> bool:
    """Return True if a text holds only visible ASCII, spaces and tabs. The first look is quick, and mostly enough."""
    return text.isascii() and (text.isprintable() or not text.encode().translate(None, _VISIBLE))


@functools.lru_cache(maxsize=_MOST_KEPT)
def _judged(name: str) -> bool | None:
    """Return None for what cannot name a header, False if its lines differ each time or hold credentials."""
    if not is_header_name(name):
        return None
    return name.lower() not in _VARYING and not is_credential_header(name)
