from __future__ import annotations

import json
from pathlib import Path

import pytest
from ops.cluster import NODES, Node
from ops.failover import Failover, NoStandby, choose

from airplane_runbooks import Airplane, ParameterSchema, Prompt, SessionFailed

REASON = {"reason": "disk of db-1 is full"}


def agree(_prompt: Prompt, _schema: ParameterSchema) -> dict[str, object]:
    return {"agreed": True}


def disagree(_prompt: Prompt, _schema: ParameterSchema) -> dict[str, object]:
    return {"agreed": False}


def roles(world_folder: Path) -> dict[str, str]:
    files = sorted((world_folder / "cluster").glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8"))["role"] for file in files}


def break_node(world_folder: Path, name: str, **changes: object) -> None:
    (world_folder / "cluster").mkdir(exist_ok=True)
    (world_folder / "cluster" / f"{name}.json").write_text(json.dumps({**NODES[name], **changes}), "utf-8")


def test_the_standby_with_the_least_lag_becomes_the_primary(airplane: Airplane, world_folder: Path) -> None:
    outcome = airplane.runbooks.run("failover", REASON, wait_timeout=60, on_prompt=agree, type=Failover)

    assert outcome == Failover("db-2", "postgresql://db-2.internal:5432/orders", "disk of db-1 is full")
    assert roles(world_folder) == {"db-1": "fenced", "db-2": "primary", "db-3": "standby"}


def test_a_busy_node_is_asked_again(airplane: Airplane, world_folder: Path) -> None:
    break_node(world_folder, "db-2", refuses=2)
    session = airplane.runbooks.execute_and_wait("failover", param_values=REASON, wait_timeout=60, on_prompt=agree)

    steps = {step.name: step.output for step in airplane.sessions.steps(session.id)}
    assert steps["check db-2"] == {"name": "db-2", "role": "standby", "lag_seconds": 2, "up": True}
    assert {"check db-1", "check db-3", "fence db-1", "promote db-2"} < steps.keys()


def test_nothing_is_changed_without_consent(airplane: Airplane, world_folder: Path) -> None:
    outcome = airplane.runbooks.run("failover", REASON, wait_timeout=60, on_prompt=disagree)

    assert outcome is None
    assert roles(world_folder)["db-1"] == "primary"


def test_a_failover_without_a_standby_says_why(airplane: Airplane, world_folder: Path) -> None:
    break_node(world_folder, "db-2", up=False)

    with pytest.raises(SessionFailed, match="db-2 is down, db-3 is 95 s behind; 30 s are allowed"):
        airplane.runbooks.run("failover", REASON, wait_timeout=60)


def test_a_node_that_stays_busy_fails_the_failover(airplane: Airplane, world_folder: Path) -> None:
    break_node(world_folder, "db-3", refuses=100)

    with pytest.raises(SessionFailed, match="db-3 has too many connections"):
        airplane.runbooks.run("failover", REASON, wait_timeout=60)


def test_standbys_are_compared_by_their_lag() -> None:
    late, later = Node("late", "standby", 5, up=True), Node("later", "standby", 9, up=True)

    assert choose([later, late, Node("old", "primary", 0, up=True)], 30) is late
    with pytest.raises(NoStandby, match="there is none"):
        choose([], 30)
