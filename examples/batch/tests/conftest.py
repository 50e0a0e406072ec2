from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airplane_runbooks.server import Context, RunbookServer, runbook

sent: Counter[str] = Counter()
gate = threading.Event()


def pytest_configure() -> None:
    """Let the command be interrupted also where a script has started the tests with `&`, which ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def send(customer: str) -> None:
    if customer == "slow":
        gate.wait(60)
    if customer.startswith("bad"):
        raise ValueError("no address")
    sent.update([customer])


@runbook
def send_statement(context: Context, customer: str) -> None:
    """Send a statement, and count it."""
    context.step(send, customer)


@pytest.fixture
def server(airplane_server: Callable[..., Any]) -> Any:
    """Serve the runbook, with none of its statements sent."""
    sent.clear()
    gate.clear()
    started: RunbookServer = airplane_server(send_statement, keep_ended=20_000)
    return started
