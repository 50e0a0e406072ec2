"""The benchmark of the client starts, and compares and judges rightly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.client import pictures, report, results
from benchmarks.client.groups import GROUPS
from benchmarks.client.results import Measured, Results, Times

ROOT = Path(__file__).parents[2]


def group():
    times = {"bare urllib3": Times([2.0, 4.0, 2.0], [1.0, 1.0, 1.0]), "ours": Times([1.0, 1.0, 1.0], [0.5, 0.3, 0.1])}
    return Measured("bare urllib3", times, {"bare urllib3": 1000.0, "ours": 210.0})


def test_a_group_of_contenders_is_measured_and_written_down(tmp_path):
    output = tmp_path / "measured.json"
    command = [sys.executable, "-m", "benchmarks.client", "telemetry", "--rounds", "1", "--output", str(output)]
    done = subprocess.run([*command, "--no-instructions"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(results.load(output).groups["telemetry"].times) == set(GROUPS["telemetry"].makers)


def test_an_unknown_group_is_refused_by_name():
    command = [sys.executable, "-m", "benchmarks.client", "plane"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "unknown groups: plane" in done.stderr) == (2, True)


def test_ratios_are_medians_of_the_ratios_of_rounds():
    measured = group()
    assert measured.ratio("wall", "ours") == 0.5
    assert measured.ratio("cpu", "ours") == 0.3
    assert measured.instruction_ratio("ours") == 0.21


def test_a_budget_that_is_not_met_is_reported_so():
    lines = [line for line in report.lines(Results(groups={"plain": group()})) if line.startswith("plain: ")]
    verdicts = [line.rsplit("  ", 1)[1] for line in lines[1:]]
    assert verdicts == ["met", "met", "met"]
    worse = group()
    worse.times["ours"].cpu[:] = [0.5, 0.5, 0.5]
    lines = list(report.lines(Results(groups={"plain": worse})))
    assert any(line.startswith("plain: cpu") and line.endswith("NOT MET") for line in lines)


def test_results_survive_their_file(tmp_path):
    found = Results(groups={"plain": group()})
    results.save(found, tmp_path / "measured.json")
    assert results.load(tmp_path / "measured.json") == found


def test_the_shortest_bar_comes_first():
    assert [bar.name for bar in pictures.bars(group())] == ["ours", "bare urllib3"]


@pytest.mark.parametrize("name", GROUPS)
def test_the_reference_of_a_group_is_one_of_its_contenders(name):
    assert {GROUPS[name].reference, "ours"} <= set(GROUPS[name].makers)
