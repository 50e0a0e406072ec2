"""Rules, alerts and queries, run by Prometheus' own tool. Debian has it in the package `prometheus`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ALERTS, FOLDER, PANELS, RECORDED
from prometheus_client.samples import Sample

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool of the package prometheus")


def promtool(*arguments: str) -> None:
    """Run promtool, and show what it says if it fails."""
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    promtool("check", "config", "prometheus.yaml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yaml")
    tested = (FOLDER / "alerts_test.yaml").read_text()
    assert all(f"alertname: {name}\n" in tested for name in ALERTS)


def test_real_figures_answer_every_query(real: list[Sample], tmp_path: Path) -> None:
    """Let Prometheus compute all rules and panels from what a client and a server have emitted, grown by the minute."""
    series = [
        {"series": f"{sample.name}{{{labels_of(sample)}}}", "values": values_of(sample)}
        for sample in real
        if not sample.name.endswith(("_created", "_info"))
    ]
    questions = [
        {
            "expr": f"count({expression}) > bool 0",
            "eval_time": "30m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for expression in (*RECORDED, *PANELS.values())
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": questions}
    path = tmp_path / "real.json"  # which is YAML, too
    path.write_text(json.dumps({"rule_files": [str(FOLDER / "alerts.yaml")], "tests": [test]}))
    promtool("test", "rules", str(path))


def labels_of(sample: Sample) -> str:
    """Return the labels of a series, with the job that a collector adds."""
    labels = {"job": "figures", **sample.labels}
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items() if value)


def values_of(sample: Sample) -> str:
    """Return the values of an hour: counters grow by what they have, gauges stay."""
    grows = sample.name.endswith(("_total", "_count", "_sum", "_bucket"))
    return f"0+{sample.value}x60" if grows else f"{sample.value}x60"
