"""A call takes no more instructions than it did when the baseline was saved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.client import counts

ROOT = Path(__file__).parents[2]
# Other Pythons have other instructions, and 3.14 does not trace those of a function's first call.
counted = pytest.mark.skipif(
    f"{sys.version_info.major}.{sys.version_info.minor}" != counts.PYTHON,
    reason=f"the instructions are counted on Python {counts.PYTHON}",
)


@counted
def test_a_call_takes_no_more_instructions_than_the_baseline():
    """To accept a growth, run `python -m benchmarks.client.counts --save` and say why in the commit."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client.counts"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_growth_beyond_the_tolerance_names_call_and_layers():
    then = {"execute": {"total": 100, "http": 60, "middleware": 40}}
    now = {"execute": {"total": 104, "http": 55, "middleware": 46, "policy": 3}}
    assert counts.growth(then, now) == ["execute: 100 -> 104 instructions (middleware 40 -> 46, policy 0 -> 3)"]


def test_growth_within_the_tolerance_is_no_growth():
    assert counts.growth({"execute": {"total": 100}}, {"execute": {"total": 103}}) == []


@counted
def test_instructions_are_counted_by_layer():
    found = counts.measured()["execute over a socket"]
    assert found["total"] == sum(count for layer, count in found.items() if layer != "total")
    assert min(found["transports"], found["middleware"], found["schema"]) > 0
