"""The command, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from batch import demo
from conftest import gate, sent

from airplane_runbooks.server import RunbookServer

PATIENCE = 60.0


def command(server: RunbookServer, path: Path) -> subprocess.Popen[str]:
    """Start the batch of a file."""
    return subprocess.Popen(
        [sys.executable, "-m", "batch", str(path), "--runbook", "send_statement"],
        cwd=Path(__file__).parents[1],
        env={
            **os.environ,
            "AIRPLANE_API_KEY": server.api_key,
            "AIRPLANE_API_HOST": server.base_url.removesuffix("/v0"),
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_leaves_a_batch_to_begin_again(server: RunbookServer, tmp_path: Path) -> None:
    customers = ["slow", *(f"customer-{number}" for number in range(40))]
    path = tmp_path / "customers.txt"
    path.write_text("\n".join(customers) + "\n")
    try:
        process = command(server, path)
        give_up = time.monotonic() + PATIENCE
        journal = path.with_suffix(".journal")
        while not (journal.exists() and journal.read_text().count('"ended"') == 40):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "interrupted: 40 of 41 have ended" in output
    finally:
        gate.set()
    process = command(server, path)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "41 of 41 have succeeded" in output
    assert sent == Counter(customers)


def test_the_demo_is_done_only_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--sessions", "30", "--folder", str(tmp_path)]
    assert demo.main(arguments) == 0
    assert demo.main(arguments) == 0
    assert capsys.readouterr().out.count("30 of 30 have succeeded") == 2
