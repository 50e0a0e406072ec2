"""Settings of every test."""

from __future__ import annotations

import os
import signal
import sys
import threading

from hypothesis import settings

# How long an example takes does not make it wrong: a hang meets the time limit of its test.
settings.register_profile("gate", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("brief", deadline=None, max_examples=10, derandomize=True)  # repeats on other Pythons
settings.register_profile("nightly", deadline=None, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def pytest_configure():
    """Let tests end by their fixtures, which stop what they have started.

    Scripts hand on an ignored SIGINT with `&`; the tests that press Ctrl-C hold all the same. nox ends a session that
    runs beside another by SIGTERM.
    """
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_sessionfinish():
    """Save what a worker has measured of coverage while there is time: a slow exit is killed after ten seconds."""
    if (coverage := sys.modules.get("coverage")) and (measuring := coverage.Coverage.current()):
        measuring.stop()
        measuring.save()
