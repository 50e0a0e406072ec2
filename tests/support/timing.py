"""Waiting without guessing how long, and the mark of tests that measure time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

PATIENCE = 100.0  # seconds; reached only by a test that fails

# Other work on the machine makes things slower, and nothing makes them faster: so being late may be tried again.
TIMED = pytest.mark.flaky(reruns=2, only_rerun=["DeadlineMissed"])


def eventually(probe: Callable[[], T], deadline: float = PATIENCE) -> T:
    """Return the first true result of `probe`."""
    give_up = time.monotonic() + deadline
    pause = 0.002
    while not (result := probe()):
        if time.monotonic() > give_up:
            raise AssertionError("it did not happen in time")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.05)  # a probe is often a request, which keeps the server from its work
    return result
