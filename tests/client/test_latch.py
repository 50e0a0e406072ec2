"""The latch holds nothing of its waiters, wherever they are interrupted."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airplane_runbooks._latch import Latch
from tests.support.interrupts import interrupt


def test_a_wait_ends_when_another_thread_sets_the_latch():
    latch, entered = Latch(), threading.Event()

    def wait():
        entered.set()
        latch.wait()

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    entered.wait()
    latch.set()
    for waiter in waiters:
        waiter.join()
    latch.set()
    latch.wait()


def test_a_wait_ends_after_its_time():
    latch = Latch()
    latch.wait(0.001)
    latch.wait(-1)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_signal_that_wakes_another_thread_ends_a_wait():
    latch, over = Latch(), threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    before = signal.signal(signal.SIGUSR1, lambda *_: latch.set())
    try:
        signaller = threading.Timer(0.1, signal.pthread_kill, (other.ident, signal.SIGUSR1))
        signaller.start()
        latch.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
        over.set()
        signaller.join()
        other.join()


def test_a_wait_interrupted_at_any_instruction_leaves_no_lock():
    with ThreadPoolExecutor(1) as thread:  # CPython may leave an interrupted thread's last exception where it was
        for at in itertools.count(1):
            latch = Latch()
            timer = threading.Timer(0.02, latch.set)
            timer.start()
            interrupted = thread.submit(wait_interrupted, latch, at).result()
            timer.join()
            if not interrupted:
                assert at > 10
                break
            latch.set()
            latch.wait()


def wait_interrupted(latch, at):
    """Wait, and tell whether the interrupt came before the end."""
    try:
        with interrupt("Latch.wait", at):
            latch.wait()
    except KeyboardInterrupt:
        return True
    return False
