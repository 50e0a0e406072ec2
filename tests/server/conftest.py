from __future__ import annotations

import pytest

from tests.support.engines import Journal, children
from tests.support.postgres import another_postgres_url, postgres, postgres_url

__all__ = ["another_postgres_url", "postgres", "postgres_url"]


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


@pytest.fixture
def child(url, journal):
    """Return what starts an engine in a process of its own, on the test's database."""
    with children() as start:
        yield lambda: start(url, journal.path)
