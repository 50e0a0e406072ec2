"""Lets the tests that press Ctrl-C hold however they were started: scripts hand on an ignored SIGINT with `&`."""

from __future__ import annotations

import signal


def pytest_configure():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
