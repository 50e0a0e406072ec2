"""Lines that a person types at a terminal, read while something else is looked at."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import click

_PAUSE = 1.0  # seconds between two looks


class LineReader:
    """Reads lines from the terminal, and calls a function about once a second while it waits.

    The function ends the reading if it raises an error. What was half typed is dropped then, so that neither the next
    question nor the shell takes it for theirs.

    Args:
        look: The function.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look

    def read(self, label: str, *, is_hidden: bool = False) -> str:
        """Ask for a line, and return it. Raises EOFError at the end of the input, and the errors of the function."""
        if os.name != "posix":  # its terminals cannot be waited for together with a time
            return str(click.prompt(label, default="", hide_input=is_hidden, show_default=False, err=True))
        descriptor = sys.stdin.fileno()
        with _without_echo(descriptor) if is_hidden else _dropping_rest(descriptor):
            click.echo(f"{label}: ", nl=False, err=True)  # not before: what is typed at once is hidden as well
            return self._line(descriptor).decode(sys.stdin.encoding, errors="replace")

    def _line(self, descriptor: int) -> bytes:
        typed = b""
        while not typed.endswith(b"\n"):
            while not select.select([descriptor], [], [], _PAUSE)[0]:
                self._look()
            part = _read(descriptor)
            if not part:
                raise EOFError
            typed += part
        return typed[:-1]


def _read(descriptor: int) -> bytes:
    """Return what was typed; nothing at the end, as of a terminal that has gone."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


@contextmanager
def _dropping_rest(descriptor: int) -> Generator[None]:
    """Drop what has been typed and not been read if a `with` statement ends by an error."""
    import termios

    try:
        yield
    except Exception:
        with suppress(termios.error):  # it may have gone
            termios.tcflush(descriptor, termios.TCIFLUSH)
        raise


@contextmanager
def _without_echo(descriptor: int) -> Generator[None]:
    """Show nothing of what is typed but the end of the line, and else do as `_dropping_rest` does."""
    import termios

    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] = silent[3] & ~termios.ECHO | termios.ECHONL
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        with _dropping_rest(descriptor):
            yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
