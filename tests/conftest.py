"""Settings of every test."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# How long an example takes does not make it wrong: a hang meets the time limit of its test.
settings.register_profile("gate", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("brief", deadline=None, max_examples=10, derandomize=True)  # repeats on other Pythons
settings.register_profile("nightly", deadline=None, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def pytest_configure():
    """Let the tests that press Ctrl-C hold however they were started: scripts hand on an ignored SIGINT with `&`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
