"""Logs of the steps of one execution, from what they write to what is kept of it.

Lines wait in memory until the step ends, and are written together with its end; of a step that takes longer, about once
a second. A step that writes nothing costs no statement.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from ...models import LogSeverity, LogStream
from ..logs import trace
from ..storage.ids import now
from ..storage.interface import Store
from ..storage.log_lines import LogChunk, LogLine, chunks
from ..storage.rows import to_microseconds
from .capture import captured_by
from .signals import Signal
from .writes import DeferredWrites, Write

MOST_LINES = 2_000  # of an attempt, from its beginning
MOST_BYTES = 256 * 1024  # likewise
LAST_LINES = 100  # of an attempt that has more; its last ones are kept as well
LAST_BYTES = 32 * 1024
MOST_OF_ALL = 8 * 1024 * 1024  # bytes of all steps of an execution
LONGEST_LINE = 8_000  # characters

_LONGEST_PARTIAL = 2 * LONGEST_LINE  # a secret across the end of what is kept is seen whole, and masked
_LONGEST_TEXT = 1024 * 1024
_SEEN_WHOLE = 64 * 1024
# escape sequences of terminals, and other control characters but those that end lines, and tabs
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Room:
    """Bytes that are left for the logs of an execution."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Take some bytes; False if there are not so many."""
        if size > self._left:
            return False
        self._left -= size
        return True


class AttemptLog:
    """Lines that one attempt writes; its first and its last ones are kept. Safe for threads."""

    def __init__(self, attempt: int, keep: Callable[[LogLine], None], mask: Callable[[str], str], room: Room) -> None:
        self._attempt = attempt
        self._keep = keep
        self._mask = mask
        self._room = room
        self._lock = threading.Lock()
        self._partial: dict[tuple[LogStream, int], str] = {}  # by stream and thread
        self._lines, self._size = 0, 0
        self._last: deque[LogLine] = deque()
        self._last_size = 0
        self._is_full = False
        self._left_out = 0
        self._is_closed = False

    def write(self, stream: LogStream, text: str) -> None:
        """Take what is written to a stream: lines, and parts of lines."""
        with self._lock:
            key = stream, threading.get_ident()
            head, end, rest = (self._partial.pop(key, "") + str.__str__(text)).rpartition("\n")
            if self._is_closed:
                return
            if end:
                self._add(stream, LogSeverity.INFO, head)
            if rest:
                self._partial[key] = _overwritten(rest)[:_LONGEST_PARTIAL]

    def add(self, severity: LogSeverity, text: str) -> None:
        """Take a record of `logging`, of one line or several."""
        with self._lock:
            if not self._is_closed:
                self._add(LogStream.LOG, severity, text)

    def close(self, raised: str = "") -> None:
        """Keep the rest, and the frames of what was raised. What is written after that is not kept. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for (stream, _), text in self._partial.items():
                self._add(stream, LogSeverity.INFO, text)
            self._partial.clear()
            if raised:
                self._add(LogStream.LOG, LogSeverity.ERROR, raised)
            if self._left_out:
                self._note(f"[{self._left_out} lines are left out here]")
            for line in self._last:
                self._keep(line)

    def _add(self, stream: LogStream, severity: LogSeverity, text: str) -> None:
        for line in self._plain(text).split("\n"):
            shown = _overwritten(line).rstrip("\r")
            if len(shown) > LONGEST_LINE:
                shown = f"{shown[:LONGEST_LINE]} [{len(shown) - LONGEST_LINE} characters are left out here]"
            self._add_line(LogLine(_moment(), self._attempt, stream, severity, shown))

    def _plain(self, text: str) -> str:
        """Return a text that can be shown, with its secrets masked."""
        is_long = len(text) > _LONGEST_TEXT
        text = text[:_LONGEST_TEXT].encode(errors="replace").decode()
        masked = self._mask(text)
        plain = _CONTROLS.sub("", masked)
        if plain != masked:
            plain = self._mask(plain)  # control characters may have been in the middle of a secret
        return f"{plain[:-_SEEN_WHOLE]}\n[the rest of a long text is left out here]" if is_long else plain

    def _add_line(self, line: LogLine) -> None:
        size = line.size
        if not self._is_full:
            fits = self._lines < MOST_LINES and self._size + size <= MOST_BYTES and self._room.take(size)
            if fits:
                self._lines += 1
                self._size += size
                self._keep(line)
                return
            self._is_full = True
            self._note("[the log is full: of the following lines, only the last ones will be kept]")
        self._last.append(line)
        self._last_size += size
        while len(self._last) > LAST_LINES or self._last_size > LAST_BYTES:
            self._last_size -= self._last.popleft().size
            self._left_out += 1

    def _note(self, text: str) -> None:
        self._keep(LogLine(_moment(), self._attempt, LogStream.LOG, LogSeverity.WARNING, text))


class StepLog:
    """Log of one step or task: the lines of all its attempts that are not in the store yet."""

    def __init__(self, run_id: str, fencing_token: int, mask: Callable[[str], str], room: Room) -> None:
        self._run_id = run_id
        self._fencing_token = fencing_token
        self._mask = mask
        self._room = room
        self._lines: list[LogLine] = []  # its single operations are atomic
        self._chunks: list[LogChunk] = []  # that are being written; they stay as they are until that is certain
        self._latest = 0
        self.is_queued = False

    @property
    def has_lines(self) -> bool:
        """True if there is anything to be written."""
        return bool(self._lines or self._chunks)

    @contextmanager
    def attempt(self, number: int) -> Generator[None]:
        """Keep what is written inside, by an attempt of this number, and the places of an exception."""
        log = AttemptLog(number, self._lines.append, self._mask, self._room)
        raised = ""
        try:
            with captured_by(log):
                yield
        except BaseException as problem:
            raised = "" if isinstance(problem, Signal | asyncio.CancelledError) else trace(problem)
            raise
        finally:
            log.close(raised)

    def write(self, store: Store) -> bool:
        """Write what there is into the store of an open transaction; False if the store refuses it.

        May be called again, after a transaction that was rolled back.
        """
        lines = self._lines[:]
        del self._lines[: len(lines)]
        for chunk in chunks(self._run_id, lines, self._latest):
            self._chunks.append(chunk)
            self._latest = chunk.at
        accepted = [store.add_lines(chunk, self._fencing_token) for chunk in self._chunks]
        return all(accepted)

    def written(self) -> None:
        """Forget what has been written, once that is durable."""
        self._chunks.clear()
        self.is_queued = False


def attempt_logged(log: StepLog | None, number: int) -> AbstractContextManager[None]:
    """Keep what is written inside, by an attempt of this number, if there is a log at all."""
    return nullcontext() if log is None else log.attempt(number)


class StepLogs:
    """The logs of one execution; without any, unless it `captures`."""

    def __init__(self, fencing_token: int, writes: DeferredWrites, *, captures: bool) -> None:
        self._fencing_token = fencing_token
        self._writes = writes
        self._captures = captures
        self._room = Room(MOST_OF_ALL)
        self._open: dict[str, StepLog] = {}

    def open(self, run_id: str, mask: Callable[[str], str]) -> StepLog | None:
        """Begin the log of a step or task; None if nothing is captured."""
        if not self._captures:
            return None
        self._open[run_id] = log = StepLog(run_id, self._fencing_token, mask, self._room)
        return log

    def end(self, run_id: str) -> None:
        """Leave the rest of a log to the caller of `open`, or to what is queued."""
        self._open.pop(run_id, None)

    def queue(self) -> None:
        """Have what there is written soon, or with the next flush."""
        for log in list(self._open.values()):
            if log.has_lines and not log.is_queued:
                log.is_queued = True
                self._writes.add(Write.of_lines(log.write, log.written))


def _overwritten(line: str) -> str:
    """Return what a terminal would show of a line whose beginning was overwritten, as that of a progress bar."""
    bare = line.rstrip("\r")
    return line[bare.rindex("\r") + 1 :] if "\r" in bare else line


def _moment() -> int:
    return to_microseconds(now())
