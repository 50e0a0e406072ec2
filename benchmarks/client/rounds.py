"""Rounds in which a group's contenders take turns."""

from __future__ import annotations

import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile
from typing import NamedTuple

from .canned import Endpoint
from .groups import GROUPS, Group
from .instructions import counted
from .results import Garbage, Measured, Times

BLOCK = 0.03  # seconds of one contender before the next one's turn, about
MOST, FEWEST = 100, 1  # calls of a block
TRIALS = 3
PATIENCE = 300
BARE = ("ours", "bare urllib3", "bare aiohttp")


class Sizes(NamedTuple):
    """Size of a run: rounds of each group, and the seconds after which no further one begins."""

    rounds: int
    longest: float
    fewest: int = 5

    def turns(self) -> Iterator[int]:
        end = time.monotonic() + self.longest
        for number in range(self.rounds):
            if number >= self.fewest and time.monotonic() > end:
                return
            yield number


class Ended(Exception):
    """A worker ended, or did not answer."""


class Worker:
    """A contender in a process of its own."""

    def __init__(self, command: list[str]) -> None:
        self._errors = TemporaryFile()  # noqa: SIM115  # closed by `end`
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )
        self.count = FEWEST

    def ask(self, order: str) -> tuple[float, float]:
        """Give an order and return the two figures of the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{order}\n".encode())
        except BrokenPipeError:
            raise Ended(self._last_words()) from None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise Ended("did not answer")
        if not (line := self._process.stdout.readline()):
            raise Ended(self._last_words())
        first, second = map(float, line.split())
        return first, second

    def settle(self, group: Group) -> None:
        """Find out how many calls make a block."""
        wall = min(self.ask(str(FEWEST))[0] for _ in range(TRIALS)) + group.pause
        self.count = max(FEWEST, min(MOST, round(BLOCK / (wall * group.places))))

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with {self._process.wait()}"


def command_of(group_name: str, who: str, endpoint: Endpoint) -> list[str]:
    return [sys.executable, "-m", "benchmarks.client.worker", group_name, who, str(endpoint.port), endpoint.ca]


@contextmanager
def workers(name: str, names: list[str], endpoint: Endpoint, failed: dict[str, str]) -> Iterator[dict[str, Worker]]:
    """Start a worker for each of the contenders. Those that cannot make a call are left out."""
    with ExitStack() as stack:
        found: dict[str, Worker] = {}
        for who in names:
            found[who] = Worker(command_of(name, who, endpoint))
            stack.callback(found[who].end)
        for who, worker in list(found.items()):
            try:
                worker.settle(GROUPS[name])
            except Ended as error:
                failed[who] = str(error)
                del found[who]
        yield found


def interleaved(name: str, endpoint: Endpoint, sizes: Sizes) -> Measured:
    """Let the contenders of a group take turns for some rounds. One that fails is left out from then on."""
    group = GROUPS[name]
    found = Measured(reference=group.reference)
    with workers(name, list(group.makers), endpoint, found.failed) as clients:
        found.times = {who: Times() for who in clients}
        for _ in sizes.turns():
            for who in random.sample(list(clients), len(clients)):
                try:
                    found.times[who].add(*clients[who].ask(str(clients[who].count)))
                except Ended as error:
                    found.failed[who] = str(error)
                    del clients[who], found.times[who]
    if group.reference not in found.times:
        raise Ended(f"{group.reference}: {found.failed[group.reference]}")
    return found


def count(name: str, endpoint: Endpoint, contenders: list[str]) -> dict[str, float]:
    """Return the instructions of contenders' calls, two of which are counted at a time."""
    places = GROUPS[name].places
    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(lambda who: counted(command_of(name, who, endpoint), places), contenders)
        return {who: count for who, count in zip(contenders, counts, strict=True) if count is not None}


def left_behind(endpoint: Endpoint, peers: tuple[str, ...] = ()) -> dict[str, Garbage]:
    """Return what calls leave behind, ours, bare ones and those of some peers, sync and async."""
    found = {}
    for name in ("plain", "async-1"):
        chosen = [who for who in GROUPS[name].makers if who in (*BARE, *peers)]
        with workers(name, chosen, endpoint, {}) as clients:
            for who, worker in clients.items():
                with suppress(Ended):
                    found[f"{who}, async" if name != "plain" else who] = Garbage(*worker.ask("garbage"))
    return found
