"""Paths that are silently dropped, as a firewall does that has forgotten a connection."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

SCRIPT = Path(__file__).with_name("dropped_path.py")


def has_namespaces() -> bool:
    """Return True if this process may make network namespaces, and devices in them."""
    if not (shutil.which("unshare") and shutil.which("ip")) or os.geteuid() != 0:
        return False
    command = ["unshare", "--net", "ip", "tuntap", "add", "dev", "nowhere", "mode", "tun"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="needs root and network namespaces")
def test_a_dropped_path_costs_one_probe_and_no_attempt() -> None:
    command = ["unshare", "--net", sys.executable, str(SCRIPT)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    results = json.loads(done.stdout)
    idle, quiet, dead = results["idle"], results["quiet"], results["dead IPv6"]
    assert idle[0].startswith("ConnectionLost")
    assert 4 < idle[1] < 20
    assert quiet[0].startswith("ConnectionLost")
    assert 15 < quiet[1] < 40
    assert dead[0] == "answered"
    assert 0.2 < dead[1] < 15
