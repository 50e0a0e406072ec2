"""Programs on a pseudo-terminal, driven as a person drives them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.timing import PATIENCE

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")

# The first terminal that the leader of a session opens is the one whose Ctrl-C reaches it.
ON_THE_TERMINAL = 'exec "$@" <"$0" >"$0" 2>&1'


class Terminal:
    """A terminal of 100 columns with one program on it."""

    def __init__(self, process: subprocess.Popen[bytes], controller: int) -> None:
        self.process = process
        self._controller = controller
        self._raw = b""
        self._seen = 0

    @property
    def text(self) -> str:
        """Everything written so far, without colours and movements of the cursor."""
        return CONTROL.sub("", self._raw.decode(errors="replace"))

    @property
    def raw(self) -> str:
        return self._raw.decode(errors="replace")

    def expect(self, wanted: str) -> None:
        """Read until a text has appeared that was not there at the last `expect`."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.text.find(wanted, self._seen)) < 0:
            assert time.monotonic() < deadline, f"{wanted!r} has not appeared: {self.text!r}"
            assert self._read(), f"{wanted!r} has not appeared before the end: {self.text!r}"
        self._seen = found + len(wanted)

    def interrupt(self, wanted: str) -> None:
        """Press Ctrl-C, and read until a text has appeared.

        A key that comes in the moment before Python begins to read is not noticed until the next one, so it is pressed
        again if nothing happens.
        """
        deadline = time.monotonic() + PATIENCE
        while self.text.find(wanted, self._seen) < 0:
            assert time.monotonic() < deadline, f"{wanted!r} has not appeared: {self.text!r}"
            self.type("\x03")
            pressed = time.monotonic()
            while self.text.find(wanted, self._seen) < 0 and time.monotonic() < pressed + 10 and self._read():
                pass
        self.expect(wanted)

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def ends(self) -> int:
        """Read the rest, and return the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"the program goes on: {self.text!r}"
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        """Read what there is. Return False at the end."""
        has_ended = self.process.poll() is not None
        if select.select([self._controller], [], [], 0 if has_ended else 0.1)[0]:
            self._raw += os.read(self._controller, 65536)
            return True
        return not has_ended


@contextmanager
def on_terminal(*arguments: str, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run the command line on a terminal of its own, and kill it at the end."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = ["sh", "-c", ON_THE_TERMINAL, os.ttyname(terminal), sys.executable, "-m", "airplane_runbooks", *arguments]
    environment = {**os.environ, "TERM": "xterm-256color", **env}
    with subprocess.Popen(command, start_new_session=True, env=environment) as process:
        try:
            yield Terminal(process, controller)
        finally:
            process.kill()
            os.close(terminal)  # not before: without a holder, the terminal would seem to have ended
            os.close(controller)
