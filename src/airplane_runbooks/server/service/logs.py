"""Logs of steps and tasks: what they have written, as far as it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..storage.interface import Store
from ..storage.log_lines import LogLine, LogPosition
from .services import Services

_MOST_CHUNKS = 50  # that are read for a page; each has 32 KiB at most, unless it is one long line
_MOST_LINES = 1_000  # of a page
_MOST_BYTES = 256 * 1024  # likewise, about
_LATEST_CHUNKS = 20  # of all steps of a session


class LogPage(NamedTuple):
    """Part of a log: lines with their positions, the oldest first.

    `has_more` tells that there were further lines when it was read.
    """

    lines: Sequence[tuple[LogPosition, LogLine]]
    has_more: bool


def read(services: Services, run_id: str, after: LogPosition) -> LogPage:
    """Return the part of the log of a step or task that follows a position."""
    chunks = services.store.log_chunks(run_id, after.at, _MOST_CHUNKS)
    lines: list[tuple[LogPosition, LogLine]] = []
    size = 0
    for chunk in chunks:
        for number, line in enumerate(chunk.lines):
            position = LogPosition(chunk.at, number)
            if position <= after:
                continue
            if len(lines) == _MOST_LINES or (lines and size + line.size > _MOST_BYTES):
                return LogPage(lines, has_more=True)
            lines.append((position, line))
            size += line.size
    return LogPage(lines, has_more=len(chunks) == _MOST_CHUNKS)


def read_all(services: Services, run_id: str) -> Iterator[LogLine]:
    """Yield the log of a step or task as it is now."""
    page = read(services, run_id, LogPosition())
    while True:
        yield from (line for _, line in page.lines)
        if not (page.has_more and page.lines):
            return
        page = read(services, run_id, page.lines[-1][0])


def latest(store: Store, root_id: str) -> Mapping[str, Sequence[LogLine]]:
    """Return the latest lines of a session's steps, by the ID of the step's run, the oldest first."""
    found: dict[str, list[LogLine]] = {}
    for chunk in store.latest_log_chunks(root_id, _LATEST_CHUNKS):
        found.setdefault(chunk.run_id, []).extend(chunk.lines)
    return found
