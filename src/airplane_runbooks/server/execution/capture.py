"""Capture of what steps write: to `sys.stdout` and `sys.stderr`, and by `logging`.

What is captured goes to its original place as well. It is attributed by a context variable, so what threads write that
a step has started itself goes to the original place only, and so does what is written to the `buffer` or the file
descriptor of a stream.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol

from ...models import LogSeverity, LogStream


class Sink(Protocol):
    """The place for what one attempt of a step writes."""

    def write(self, stream: LogStream, text: str) -> None:
        """Take what is written to a stream: lines, and parts of lines."""
        ...

    def add(self, severity: LogSeverity, text: str) -> None:
        """Take a record of `logging`, of one line or several."""
        ...


_SINK: ContextVar[Sink | None] = ContextVar("sink", default=None)
_CALL_HANDLERS = "callHandlers"
_CallHandlers = Callable[[logging.Logger, logging.LogRecord], None]


@contextmanager
def captured_by(sink: Sink | None) -> Generator[None]:
    """Let a sink have what is written inside, in this context and in those copied from it; none if it is None."""
    token = _SINK.set(sink)
    try:
        yield
    finally:
        _SINK.reset(token)


class Capture:
    """Captures from `open` to `close`, process-wide. Several may be open at a time: each text is kept once."""

    def __init__(self) -> None:
        self._streams: dict[str, _CapturedStream] = {}
        self._is_open = False

    def open(self) -> None:
        """Replace the streams, and watch `logging`. Idempotent."""
        if self._is_open:
            return
        self._is_open = True
        for name in LogStream.STDOUT, LogStream.STDERR:
            if (stream := getattr(sys, name)) is not None:  # as in a program without a console
                self._streams[name] = captured = _CapturedStream(stream, name)
                setattr(sys, name, captured)
        _LOGGING_HOOK.add()

    def close(self) -> None:
        """Put the streams back, unless others have been put in their place meanwhile. Idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        for name, captured in self._streams.items():
            captured.is_open = False
            if getattr(sys, name) is captured:
                setattr(sys, name, captured.open_original())
        _LOGGING_HOOK.remove()


class _CapturedStream:
    """A text stream that lets the current sink have what is written to another one. All else is the other's."""

    def __init__(self, original: Any, stream: LogStream) -> None:
        self._original = original
        self._stream = stream
        self.is_open = True

    def write(self, text: str) -> Any:
        """Write a text, and keep it. Returns and raises what the original stream does."""
        sink = _SINK.get()
        if sink is None or not self.is_open:
            return self._original.write(text)
        with captured_by(None):  # what the original stream writes itself, it writes on behalf of this text
            if isinstance(text, str):  # anything else is for the original stream to refuse
                _keep(lambda: sink.write(self._stream, text))
            return self._original.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, one after the other."""
        for line in lines:
            self.write(line)

    def open_original(self) -> Any:
        """Return the original stream, or what that stands for if its capture has ended."""
        original = self._original
        return original.open_original() if isinstance(original, _CapturedStream) and not original.is_open else original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __enter__(self) -> Any:
        return self._original.__enter__()

    def __exit__(self, *problem: object) -> Any:
        return self._original.__exit__(*problem)

    def __iter__(self) -> Any:
        return iter(self._original)

    def __repr__(self) -> str:
        return f"<captured {self._original!r}>"


class _LoggingHook:
    """Lets sinks have the records that loggers hand to handlers, whichever handlers there are.

    A handler of the root logger would not do: `logging.basicConfig` does nothing if there is one, and no record would
    get to the handler of last resort. What handlers print is not kept once more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._original = self._hook = _call_handlers()

    def add(self) -> None:
        """Watch for one more user."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._original = _call_handlers()
                self._hook = _hook(self._original)
                setattr(logging.Logger, _CALL_HANDLERS, self._hook)

    def remove(self) -> None:
        """Watch for one user less, and leave all as it was after the last one."""
        with self._lock:
            self._users -= 1
            # another hook upon this one stays, and finds no sinks
            if not self._users and logging.Logger.callHandlers is self._hook:
                setattr(logging.Logger, _CALL_HANDLERS, self._original)


def _call_handlers() -> _CallHandlers:
    return logging.Logger.callHandlers


def _hook(original: _CallHandlers) -> _CallHandlers:
    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        sink = _SINK.get()
        if sink is None:
            original(logger, record)
            return
        with captured_by(None):
            _keep(lambda: sink.add(_severity(record.levelno), _text(record)))
            original(logger, record)

    return call_handlers


_LOGGING_HOOK = _LoggingHook()


def _keep(call: Callable[[], None]) -> None:
    with suppress(Exception):  # such as of a record whose arguments do not fit: its handlers report that
        call()


def _severity(level: int) -> LogSeverity:
    if level >= logging.ERROR:
        return LogSeverity.ERROR
    if level >= logging.WARNING:
        return LogSeverity.WARNING
    return LogSeverity.INFO if level >= logging.INFO else LogSeverity.DEBUG


def _text(record: logging.LogRecord) -> str:
    """Return the message of a record with its traceback, and leave the record as it is."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        text = f"{text}\n{''.join(traceback.format_exception(*record.exc_info)).rstrip()}"
    return text


if hasattr(os, "register_at_fork"):  # all but Windows, which has no forks
    os.register_at_fork(after_in_child=lambda: _SINK.set(None))  # what a child writes is not kept
