"""A PostgreSQL whose host vanishes without a word, as at a failover."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transports.urllib3.test_dropped_paths import has_namespaces

pytestmark = [pytest.mark.nightly, pytest.mark.postgres]

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not has_namespaces(), reason="needs root and network namespaces")
def test_a_host_that_vanishes_is_noticed_within_seconds() -> None:
    command = ["unshare", "--net", sys.executable, "-m", "tests.server.storage.dropped_database"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=ROOT)
    results = json.loads(done.stdout)
    assert 5 < results["waiting"] < 40
    assert results["idle"] < 40
