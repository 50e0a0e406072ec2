"""Failover of a database: checks of all nodes side by side, with retries, and a human's decision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from airplane_runbooks.server import Context, Field, runbook

from .cluster import Node, check_node, fence, node_names, point_applications_to, promote


class Failover(msgspec.Struct, frozen=True):
    """Outcome of a failover. A failover that was not agreed to has changed nothing."""

    primary: str
    address: str
    reason: str


class NoStandby(Exception):
    """No node can take over."""


@runbook(timeout=600, confirm="This changes the primary of the orders database.")
def failover(context: Context, reason: str, max_lag_seconds: int = 30) -> Failover | None:
    """Make the best standby the primary of the orders database.

    All nodes are checked first, and nothing is changed before a human has agreed.

    Args:
        reason: The incident, for those who read of it later.
        max_lag_seconds: Standbys that are further behind cannot take over.
    """
    names = context.step(node_names)
    # The first calls to a busy node may fail; three more are made before the runbook gives up.
    checks = [partial(context.step, check_node, name, name=f"check {name}", retries=3, timeout=30) for name in names]
    nodes = msgspec.convert(context.parallel(*checks), list[Node])
    target = choose(nodes, max_lag_seconds)
    answer = context.prompt(
        f"Make {target.name} the primary? It is {target.lag_seconds} s behind, and these writes are lost.",
        confirm_text="Fail over",
        reason=Field(str, default=reason, description="Kept with the session"),
        agreed=bool,
    )
    if not answer["agreed"]:
        return None
    for node in nodes:
        if node.role == "primary":
            context.step(fence, node.name, name=f"fence {node.name}")
    context.step(promote, target.name, name=f"promote {target.name}")
    address = context.step(point_applications_to, target.name, retries=3)
    return Failover(target.name, address, answer["reason"])


def choose(nodes: Sequence[Node], max_lag_seconds: int) -> Node:
    """Return the standby with the least lag. Raises NoStandby that says why each one cannot take over."""
    standbys = [node for node in nodes if node.role == "standby"]
    able = [node for node in standbys if node.up and node.lag_seconds <= max_lag_seconds]
    if able:
        return min(able, key=lambda node: node.lag_seconds)
    reasons = [f"{node.name} is {f'{node.lag_seconds} s behind' if node.up else 'down'}" for node in standbys]
    raise NoStandby(f"{', '.join(reasons) or 'there is none'}; {max_lag_seconds} s are allowed")
