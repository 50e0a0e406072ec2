from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.observed import Make, Observed

# They need other instrumentation and a collector, which only their own session installs.
APART = {"test_coexistence.py", "test_collector.py"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name in APART and not config.getoption("markexpr").startswith("telemetry") else None


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(kind: str) -> Make:
    """Return what makes a client of either kind."""
    return partial(Observed, kind)
