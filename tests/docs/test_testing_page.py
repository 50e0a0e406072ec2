"""The tests that the page about tests shows can be copied into a project, and pass there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "testing.md"


@pytest.mark.nightly
def test_the_tests_on_the_page_about_tests_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (shown,) = [block for block in blocks if "airplane_server" in block]
    (tmp_path / "test_shown.py").write_text(shown)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
