"""Loads that are the same for all contenders, and the times that they take."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

THREADS = 16


class System(Protocol):
    """Sessions of a contender. W1 is one step; W2 is a step, a wait for a human, and a step."""

    def start(self, workload: str, number: int) -> str:
        """Start a session and return its ID, once it cannot be lost any more."""
        ...

    def asked(self, session: str) -> float:
        """Wait until the session asks and the human has found its prompt; return when it began to ask."""
        ...

    def answer(self, session: str) -> None:
        """Answer as a human would, once that cannot be lost any more."""
        ...

    def ended(self, session: str) -> float:
        """Wait for the session's end, and return when that was."""
        ...


class Burst(msgspec.Struct):
    """Many sessions at once. Times are in seconds."""

    sessions: int
    seconds: float
    acknowledged: list[float]


class Single(msgspec.Struct):
    """One session that has the machine for itself: the time until it ended, or asked, and that after its answer."""

    acknowledged: float
    rest: float
    answered: float | None = None


def burst(system: System, workload: str, count: int) -> Burst:
    """Start sessions from 16 threads, answer them from the same threads, and wait for the end of the last."""
    acknowledged: list[float] = []

    def start(number: int) -> str:
        began = time.perf_counter()
        session = system.start(workload, number)
        acknowledged.append(time.perf_counter() - began)
        return session

    def answer(session: str) -> None:
        system.asked(session)
        system.answer(session)

    began = time.time()
    with ThreadPoolExecutor(THREADS) as pool:
        sessions = list(pool.map(start, range(count)))
        if workload == "W2":
            list(pool.map(answer, sessions))
        last = max(system.ended(session) for session in sessions)
    return Burst(count, last - began, acknowledged)


def single(system: System, workload: str, number: int) -> Single:
    """See one session through."""
    began = time.time()
    session = system.start(workload, number)
    acknowledged = time.time() - began
    if workload == "W1":
        return Single(acknowledged, system.ended(session) - began)
    rest = system.asked(session) - began
    answered = time.time()
    system.answer(session)
    return Single(acknowledged, rest, system.ended(session) - answered)
