"""The collector's configuration: its parts fit together, and the collector takes it where there is one."""

from __future__ import annotations

import shutil
import subprocess

import msgspec
import pytest
from conftest import FOLDER

CONFIGURATION = msgspec.yaml.decode((FOLDER / "collector.yaml").read_bytes())
COLLECTOR = shutil.which("otelcol-contrib") or ""


@pytest.mark.parametrize("kind", ["receivers", "processors", "exporters"])
def test_pipelines_use_what_is_configured(kind: str) -> None:
    pipelines = CONFIGURATION["service"]["pipelines"].values()
    assert {name for pipeline in pipelines for name in pipeline[kind]} == set(CONFIGURATION[kind])


def test_prometheus_reads_the_port_of_the_collector() -> None:
    port = CONFIGURATION["exporters"]["prometheus"]["endpoint"].partition(":")[2]
    jobs = msgspec.yaml.decode((FOLDER / "prometheus.yaml").read_bytes())["scrape_configs"]
    assert [job["static_configs"][0]["targets"] for job in jobs if job["job_name"] == "collector"] == [
        [f"localhost:{port}"]
    ]


@pytest.mark.skipif(not COLLECTOR, reason="needs otelcol-contrib")
def test_the_collector_takes_its_configuration() -> None:
    done = subprocess.run(
        [COLLECTOR, "validate", "--config", "collector.yaml"],
        cwd=FOLDER,
        env={"TRACES_ENDPOINT": "localhost:14317"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
