"""Instructions of one call, counted by valgrind in a process for each contender."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

from .canned import Endpoint
from .groups import GROUPS, Group
from .parts import running

SHORT, LONG = 100, 300


def counted(group: Group, endpoint: Endpoint) -> dict[str, float]:
    """Return the instructions of a call as each contender of a group makes it."""
    (name,) = (name for name, one in GROUPS.items() if one is group)
    calls = (LONG - SHORT) * max(1, group.in_flight)
    return {
        who: (collected(f"{name}/{who}", LONG, endpoint) - collected(f"{name}/{who}", SHORT, endpoint)) / calls
        for who in group.makers
    }


def collected(contender: str, calls: int, endpoint: Endpoint) -> int:
    """Return the instructions of a whole process that makes so many calls."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out", "--"]
        command += [sys.executable, "-m", "benchmarks.client", "--only", contender, "--calls", str(calls)]
        command += ["--port", str(endpoint.port), "--ca", endpoint.ca]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = re.search(r"Collected *: *(\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def repeat(contender: str, calls: int, endpoint: Endpoint) -> None:
    """Make so many calls as one of a group's contenders does."""
    name, _, who = contender.partition("/")
    with running(who, GROUPS[name], endpoint) as call:
        call(calls)
