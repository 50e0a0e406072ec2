"""Mark of tests that measure time."""

from __future__ import annotations

import pytest

# Other work on the machine makes things slower, and nothing makes them faster: so being late may be tried again.
TIMED = pytest.mark.flaky(reruns=2, only_rerun=["DeadlineMissed"])
