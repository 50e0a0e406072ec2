"""Settings of every test."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# How long an example takes does not make it wrong: a hang meets the time limit of its test.
settings.register_profile("untimed", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=30)  # for suites that repeat another one
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))


def pytest_configure():
    """Let the tests that press Ctrl-C hold however they were started: scripts hand on an ignored SIGINT with `&`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
