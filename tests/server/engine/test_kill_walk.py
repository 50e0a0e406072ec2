"""A server on a file is killed at each commit of a session, and the next one on the file finishes the session."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import engines

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")]

SOME = ["1-after", "3-before", "4-after"]


@pytest.mark.parametrize("points", [SOME, pytest.param([], marks=pytest.mark.nightly, id="all")])
def test_a_server_killed_at_a_commit_loses_and_repeats_nothing(tmp_path, points):
    folder = tmp_path / "walk"
    folder.mkdir()
    program = Path(engines.__file__).with_name("kill_walk.py")
    walk = subprocess.run(
        [sys.executable, str(program), str(folder), *points], capture_output=True, text=True, check=False
    )
    assert walk.returncode == 0, walk.stderr
    first, *killed = walk.stdout.splitlines()
    assert len(killed) == (len(points) or 2 * int(first.removeprefix("commits ")))
