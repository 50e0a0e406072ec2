"""Capture of the process's streams and of its loggers: what a sink gets, and that everything is put back."""

# ruff: noqa: T201 - what is printed is what is tested

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from contextvars import copy_context

import pytest

from airplane_runbooks.models import LogSeverity, LogStream
from airplane_runbooks.server.execution.capture import Capture, captured_by

logger = logging.getLogger("tests.capture")


class Sink:
    def __init__(self):
        self.texts, self.records = [], []

    def write(self, stream, text):
        self.texts.append((stream, text))

    def add(self, severity, text):
        self.records.append((severity, text))

    @property
    def printed(self):
        return "".join(text for _, text in self.texts)


class Printing(logging.Handler):
    """A handler that prints, through the stream that is the captured one."""

    def emit(self, record):
        print("printed:", record.getMessage())


class Failing(io.StringIO):
    encoding = "latin-1"

    def write(self, text):
        raise BrokenPipeError("no reader")


@pytest.fixture
def sink():
    return Sink()


@contextlib.contextmanager
def capturing(sink):
    """Capture inside: not by a fixture, since pytest puts streams of its own in place before a test."""
    capture = Capture()
    capture.open()
    try:
        with captured_by(sink):
            yield
    finally:
        capture.close()


@pytest.fixture
def handler():
    handler = Printing()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_what_is_printed_is_kept(sink):
    with capturing(sink):
        print("one", "two", end="")
        sys.stderr.writelines(["three\n", "four\n"])
    print("after")
    assert sink.printed == "one twothree\nfour\n"
    assert {stream for stream, _ in sink.texts} == {LogStream.STDOUT, LogStream.STDERR}


def test_a_stream_that_is_put_in_place_gets_what_is_printed(sink, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with capturing(sink):
        print("kept")
        with captured_by(None):
            print("not kept")
    assert sys.stdout is stream
    assert (stream.getvalue(), sink.printed) == ("kept\nnot kept\n", "kept\n")


def test_records_are_kept_with_their_severity(sink):
    with capturing(sink):
        logger.warning("careful: %s", 1)
        logger.debug("not wanted by the logger")
        try:
            {}["no such key"]
        except KeyError:
            logger.exception("it failed")
    (first, text), (second, trace) = sink.records
    assert (first, text, second) == (LogSeverity.WARNING, "careful: 1", LogSeverity.ERROR)
    assert trace.startswith("it failed\nTraceback (most recent call last):\n")
    assert trace.endswith("KeyError: 'no such key'")


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (logging.DEBUG, LogSeverity.DEBUG),
        (logging.INFO, LogSeverity.INFO),
        (logging.WARNING, LogSeverity.WARNING),
        (logging.CRITICAL, LogSeverity.ERROR),
    ],
)
def test_each_level_has_a_severity(sink, monkeypatch, level, severity):
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    monkeypatch.setattr(logger, "_cache", {})
    with capturing(sink):
        logger.log(level, "text")
    assert sink.records == [(severity, "text")]


@pytest.mark.usefixtures("handler")
def test_what_a_handler_prints_is_not_kept_again(sink):
    with capturing(sink):
        logger.warning("once")
    assert (sink.records, sink.texts) == ([(LogSeverity.WARNING, "once")], [])


def test_a_record_whose_arguments_do_not_fit_is_left_out(sink, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with capturing(sink):
        logger.warning("one %d", "text")
        logger.warning("two")
    assert sink.records == [(LogSeverity.WARNING, "two")]


def test_what_a_thread_prints_by_itself_is_not_kept(sink):
    with capturing(sink):
        own = threading.Thread(target=print, args=("own",))
        attributed = threading.Thread(target=copy_context().run, args=(print, "attributed"))
        for thread in (own, attributed):
            thread.start()
            thread.join()
    assert sink.printed == "attributed\n"


def test_an_exception_of_the_stream_reaches_the_writer(sink, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing())
    with capturing(sink):
        with pytest.raises(BrokenPipeError):
            print("lost", end="")
        with pytest.raises(BrokenPipeError):
            sys.stdout.write(b"no text")
    assert sink.printed == "lost"


def test_a_sink_that_raises_does_not_disturb_the_writer(monkeypatch):
    sink = Sink()
    monkeypatch.setattr(sink, "write", lambda *_: 1 / 0)
    with capturing(sink):
        print("goes on")


def test_all_else_of_a_stream_is_the_original_one(monkeypatch, tmp_path):
    with (tmp_path / "file").open("w", encoding="latin-1") as file:
        monkeypatch.setattr(sys, "stdout", file)
        capture = Capture()
        capture.open()
        stream = sys.stdout
        assert stream is not file
        assert (stream.fileno(), stream.buffer, stream.encoding) == (file.fileno(), file.buffer, "latin-1")
        assert (stream.isatty(), stream.closed, list(iter([stream.name]))) == (False, False, [file.name])
        assert stream.write("abc") == 3
        stream.flush()
        capture.close()
        assert sys.stdout is file
        assert (tmp_path / "file").read_text() == "abc"
        with pytest.raises(io.UnsupportedOperation):
            next(iter(stream))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_several_captures_keep_a_text_once_and_leave_nothing(sink, order):
    before, hook = (sys.stdout, sys.stderr), logging.Logger.callHandlers
    captures = [Capture(), Capture()]
    for capture in captures:
        capture.open()
        capture.open()
    for number in order:
        with captured_by(sink):
            print("text", end="")
            logger.warning("record")
        captures[number].close()
        captures[number].close()
    with captured_by(sink):
        print("late")
    assert (sink.printed, len(sink.records)) == ("texttext", 2)
    assert (sys.stdout, sys.stderr) == before
    assert logging.Logger.callHandlers is hook


def test_a_stream_that_others_have_put_in_place_stays(sink):
    before = sys.stdout
    first = Capture()
    first.open()
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        second = Capture()
        second.open()
        with captured_by(sink):
            print("redirected")
        first.close()
        second.close()
        assert sys.stdout is stream
    assert stream.getvalue() == sink.printed == "redirected\n"
    print("passed on")
    sys.stdout = before


def test_a_program_without_a_console_has_nothing_to_capture(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    capture = Capture()
    capture.open()
    assert sys.stdout is None
    capture.close()
    assert sys.stdout is None


def test_a_hook_upon_the_hook_stays_and_passes_on(sink, monkeypatch):
    seen = []
    capture = Capture()
    with monkeypatch.context() as patch:
        patch.setattr(logging.Logger, "callHandlers", logging.Logger.callHandlers)  # to be put back in the end
        capture.open()
        ours = logging.Logger.callHandlers

        def others(one, record):
            seen.append(record.msg)
            ours(one, record)

        patch.setattr(logging.Logger, "callHandlers", others)
        capture.close()
        assert logging.Logger.callHandlers is others
        with captured_by(sink):
            logger.warning("text")
        assert seen == ["text"]
