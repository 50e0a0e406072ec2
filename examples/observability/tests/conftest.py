from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from figures.exposition import exposed, samples
from figures.traffic import traffic
from prometheus_client.samples import Sample

FOLDER = Path(__file__).parents[1]
GROUPS = msgspec.yaml.decode((FOLDER / "alerts.yaml").read_bytes())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())

RECORDED: Mapping[str, str] = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS: Mapping[str, str] = {rule["alert"]: rule["expr"] for rule in RULES if "alert" in rule}
PANELS: Mapping[str, str] = {
    f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
EXPRESSIONS = {**RECORDED, **ALERTS, **PANELS}


@pytest.fixture(scope="session")
def real() -> list[Sample]:
    """Return the samples that a real client and a real server leave."""
    with exposed() as (provider, registry), traffic(provider) as flowing:
        flowing.flow()
        return list(samples(registry))
