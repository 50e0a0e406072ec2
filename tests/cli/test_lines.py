"""Lines read from a terminal while something else is looked at."""

from __future__ import annotations

import os
import pty
import sys
import termios

import pytest

from airplane_runbooks.cli import lines
from airplane_runbooks.cli.lines import LineReader


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(lines, "_PAUSE", 0.02)


@pytest.fixture
def terminal(monkeypatch):
    """Yield the end of a terminal at which a person types, while this process reads from the other one."""
    controller, descriptor = pty.openpty()
    with os.fdopen(descriptor, encoding="utf-8") as stdin, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        yield controller
    os.close(controller)


def look_too_late():
    raise TimeoutError("too late")


def echoes():
    return bool(termios.tcgetattr(sys.stdin.fileno())[3] & termios.ECHO)


def test_lines_that_were_typed_ahead_are_read_one_by_one(terminal):
    os.write(terminal, "first\n\nzwölf\n".encode())
    reader = LineReader(look_too_late)

    assert [reader.read("Line") for _ in range(3)] == ["first", "", "zwölf"]


def test_a_line_is_waited_for_until_the_look_ends_it(terminal):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 3:
            os.write(terminal, b"the rest\n")

    os.write(terminal, b"half, ")

    assert LineReader(look).read("Line") == "half, the rest"


def test_what_is_half_typed_is_dropped_at_the_end(terminal):
    os.write(terminal, b"half")
    with pytest.raises(TimeoutError):
        LineReader(look_too_late).read("Line")
    os.write(terminal, b"whole\n")

    assert LineReader(look_too_late).read("Line") == "whole"


@pytest.mark.parametrize("typed", [b"\x04", b"half\x04\x04"], ids=["at-once", "after-text"])
def test_the_end_of_the_input_is_an_error(terminal, typed):
    os.write(terminal, typed)
    with pytest.raises(EOFError):
        LineReader(look_too_late).read("Line")


def test_a_terminal_that_has_gone_is_the_end_of_the_input(monkeypatch):
    controller, descriptor = pty.openpty()
    with os.fdopen(descriptor, encoding="utf-8") as stdin, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        os.close(controller)
        with pytest.raises(EOFError):
            LineReader(look_too_late).read("Line")


def test_a_hidden_line_leaves_the_terminal_as_it_was(terminal):
    seen = []

    def look():
        seen.append(echoes())
        os.write(terminal, b"hunter2\n")

    assert LineReader(look).read("Password", is_hidden=True) == "hunter2"
    assert echoes()
    with pytest.raises(TimeoutError):
        LineReader(look_too_late).read("Password", is_hidden=True)
    assert (seen, echoes()) == ([False], True)
