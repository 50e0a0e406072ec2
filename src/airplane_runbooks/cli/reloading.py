"""A child process that is started again when a file changes, and that cannot outlive this one."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

import click

_INTERVAL = 0.5  # seconds between two looks at the files
_FOR_THE_END = 10.0  # seconds for which a child may go on after its grace

Snapshot = Mapping[Path, tuple[int, int]]


def supervise(
    command: Sequence[str], arguments: Sequence[str], folder: Path, environment: Mapping[str, str], *, patience: float
) -> None:
    """Run a command in a child process, anew after each change, until SIGINT or SIGTERM.

    The command takes the option `--until-closed`: a descriptor whose other end this process holds, and which is closed
    to stop the child. If this process is killed, the system closes it.

    Args:
        command: The command, to which the option is appended.
        arguments: Further arguments, after the option.
        folder: Folder whose Python files are watched.
        environment: Environment of the child.
        patience: Seconds that the child may need to stop; then it is killed.
    """
    child = _Child(command, arguments, environment, patience + _FOR_THE_END)
    files = snapshot(folder)
    with _signals() as stops, child:
        while not _has_come(stops):
            now = snapshot(folder)
            if changed := {path for path, _ in files.items() ^ now.items()}:
                files = now
                click.echo(f"{min(changed)} has changed: starting again", err=True)
                child.stop()
                child.start()
            child.note_end()


def snapshot(folder: Path) -> Snapshot:
    """Return the times and sizes of the Python files below a folder. Hidden folders and environments are left out."""
    return {path: (found.st_mtime_ns, found.st_size) for path in _files(folder) if (found := _stat(path))}


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith((".", "__")) and one != "node_modules"]
        folders[:] = [one for one in folders if not Path(root, one, "pyvenv.cfg").exists()]
        yield from (Path(root, name) for name in names if name.endswith(".py"))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # an editor has replaced it just now
        return None


def _has_come(stops: SimpleQueue[int]) -> bool:
    try:
        stops.get(timeout=_INTERVAL)
    except Empty:
        return False
    return True


@contextmanager
def _signals() -> Generator[SimpleQueue[int]]:
    """Put the first signal to stop into a queue, and end the process at the second one; the child ends by itself."""
    count = itertools.count()
    stops: SimpleQueue[int] = SimpleQueue()

    def handle(number: int, _: FrameType | None) -> None:
        if next(count):
            os._exit(128 + number)
        stops.put(number)  # reentrant, hence safe in a signal handler

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Child:
    """The child process. It has a process group of its own, so that Ctrl-C at a terminal reaches this process only."""

    def __init__(
        self, command: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str], patience: float
    ) -> None:
        self._command = command
        self._arguments = arguments
        self._environment = environment
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._held = -1

    def start(self) -> None:
        """Start a process."""
        read, self._held = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, "--until-closed", str(read), *self._arguments],
                stdin=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=[read],
                process_group=0,
            )
        finally:
            os.close(read)

    def stop(self) -> None:
        """Let the process end, and wait for it."""
        process, self._process = self._process, None
        os.close(self._held)
        if process is None:
            return
        try:
            process.wait(self._patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def note_end(self) -> None:
        """Tell once that the process has ended by itself: a change may mend it."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process = None
            click.echo(f"The server has ended with status {status}: waiting for a change", err=True)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
