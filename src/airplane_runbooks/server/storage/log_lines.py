"""Lines that steps and tasks write while they run, and the form in which a store keeps them: many in one row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ...models import LogSeverity, LogStream

LARGEST_CHUNK = 32 * 1024  # bytes, about; a longer list of lines takes several rows
_MARKS = 80  # bytes that a line takes besides its text, at most


class LogLine(msgspec.Struct, frozen=True, array_like=True):
    """One line, with its secrets masked.

    Attributes:
        at: Microseconds since 1970.
        attempt: Number of the attempt that has written it.
        stream: The stream it was written to, or `log` for records of `logging`.
        severity: That of a record of `logging`; `info` for a line of a stream.
        text: The line, without its end.
    """

    at: int
    attempt: int
    stream: LogStream
    severity: LogSeverity
    text: str

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.text.encode()) + _MARKS


class LogChunk(msgspec.Struct, frozen=True):
    """Lines of one run that are kept together.

    `at` is about the time of the first of them. It is unique within the run, and larger in later chunks.
    """

    run_id: str
    at: int
    lines: tuple[LogLine, ...]


class LogPosition(msgspec.Struct, frozen=True, order=True):
    """Position of a line in the log of a run: its chunk, and its number in it, from 0."""

    at: int = 0
    number: int = -1

    def __str__(self) -> str:
        return f"{self.at}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> LogPosition:
        """Read what `str` wrote. Raises ValueError."""
        at, dot, number = text.partition(".")
        if not (dot and len(text) <= 40 and all(part.isascii() and part.isdigit() for part in (at, number))):
            raise ValueError("expected the position of a line")
        found = cls(int(at), int(number))
        if found.at >= 1 << 63:
            raise ValueError("expected the position of a line")
        return found


encode_lines = msgspec.json.Encoder().encode
decode_lines = msgspec.json.Decoder(tuple[LogLine, ...]).decode


def chunks(run_id: str, lines: Sequence[LogLine], after: int) -> Iterator[LogChunk]:
    """Yield lines in chunks of about 32 KiB at most, each later than `after`."""
    start, size = 0, 0
    for number, line in enumerate(lines):
        if number > start and size + line.size > LARGEST_CHUNK:
            after = max(lines[start].at, after + 1)
            yield LogChunk(run_id, after, tuple(lines[start:number]))
            start, size = number, 0
        size += line.size
    if lines:
        yield LogChunk(run_id, max(lines[start].at, after + 1), tuple(lines[start:]))
