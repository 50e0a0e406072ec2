"""Processes of contenders, and the time and memory that they take."""

from __future__ import annotations

import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; reached only if something is wrong
KEY = "tkn_for_the_benchmark"


def cpu(pid: int) -> float:
    """Return the seconds that a process has computed, with all its threads, also those that have ended."""
    return time.clock_gettime((~pid << 3) | 2)  # the clock that clock_getcpuclockid(3) names


def family_cpu(pid: int) -> float:
    """Return the seconds of a process and all its children, also those that have ended."""
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    total = cpu(pid) + (int(stat[13]) + int(stat[14])) / os.sysconf("SC_CLK_TCK")
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split():
        try:
            total += cpu(int(child))
        except OSError:  # it has just ended, and counts from the next look on
            continue
    return total


def slowdown(pieces: int = 200) -> float:
    """Return how much longer a computation takes than at its fastest, in CPU time, because of other work.

    Neighbours slow a core down by its caches and its sibling, and a virtual one counts the time that its host takes.
    """
    times = []
    for _ in range(pieces):
        began = time.thread_time()
        {str(number): [number] for number in range(3000)}  # touches memory, as a server does
        times.append(time.thread_time() - began)
    return statistics.fmean(times) / min(times)


def memory(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def threads(pid: int) -> int:
    """Return the number of a process's threads."""
    return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - no paths are wanted


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def allow_descriptors(count: int) -> None:
    """Raise the soft limit of open files as far as needed and allowed, also for children that start later."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 1000)), hard))


class Child:
    """A Python program of this folder with pipes, which is ended by SIGTERM. Its errors are in a log."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path, source: Path | None = None) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        if source is not None:
            environment["PYTHONPATH"] = str(source / "src")
        self.log = log
        self.name = f"{module} {' '.join(arguments)}"
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.server.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env=environment,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """Return the next line. Raises RuntimeError, with the log, if the process has ended."""
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return line.rstrip("\n")
        raise RuntimeError(f"{self.name} has ended: {self.log.read_text('utf-8')[-2000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        finally:
            self.process.wait()


class Reports:
    """The lines of servers, each of which says when a session asked or ended."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: dict[tuple[str, str], tuple[float, str]] = {}
        self._changed = threading.Condition()

    def read(self, child: Child) -> None:
        """Read all lines of a child, on a thread of their own."""
        threading.Thread(target=self._read, args=(child,), daemon=True).start()

    def wait(self, kind: str, session: str) -> tuple[float, str]:
        """Wait for a report and return its time, and the word that follows."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._found.get((kind, session)), PATIENCE)
        if not found:
            raise TimeoutError(f"{self._name}: session {session} has not {kind} in {PATIENCE} s")
        return found

    def _read(self, child: Child) -> None:
        assert child.process.stdout is not None
        for line in child.process.stdout:
            kind, session, moment, word = line.split()
            with self._changed:
                self._found[kind, session] = float(moment), word
                self._changed.notify_all()
