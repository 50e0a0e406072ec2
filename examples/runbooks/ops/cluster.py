"""A database cluster for `failover`: each node is a file, `world/cluster/NODE.json`.

`refuses` counts the calls that a node will still refuse, as machines do that are just busy.
"""

from __future__ import annotations

from typing import Any

import msgspec

from . import world

NODES: dict[str, dict[str, Any]] = {
    "db-1": {"role": "primary", "lag_seconds": 0, "up": False, "refuses": 0},
    "db-2": {"role": "standby", "lag_seconds": 2, "up": True, "refuses": 1},
    "db-3": {"role": "standby", "lag_seconds": 95, "up": True, "refuses": 0},
}


class Node(msgspec.Struct, frozen=True):
    """Health of a node as it was when it was looked at."""

    name: str
    role: str
    lag_seconds: int
    up: bool


def node_names() -> list[str]:
    """Return the names of all nodes."""
    for name, node in NODES.items():
        world.read(_file(name), node)
    return sorted(path.stem for path in (world.folder() / "cluster").glob("*.json"))


def check_node(name: str) -> Node:
    """Look at a node. Raises ConnectionError if it is busy."""
    node = world.read(_file(name), NODES.get(name, {}))
    if node["refuses"] > 0:
        world.write(_file(name), {**node, "refuses": node["refuses"] - 1})
        raise ConnectionError(f"{name} has too many connections")
    print(f"{name}: {node['role']}, {'up' if node['up'] else 'down'}, {node['lag_seconds']} s behind")
    return Node(name, node["role"], node["lag_seconds"], node["up"])


def fence(name: str) -> None:
    """Keep a node from taking writes, even if it comes back."""
    _set_role(name, "fenced")


def promote(name: str) -> None:
    """Make a standby the primary. Raises RuntimeError if there is another primary, which would lose writes."""
    others = [other for other in node_names() if other != name]
    for other in others:
        if world.read(_file(other), {})["role"] == "primary":
            raise RuntimeError(f"{other} is a primary, too: fence it first")
    _set_role(name, "primary")


def point_applications_to(name: str) -> str:
    """Write the address of the primary to where the applications look for it, and return it."""
    address = f"postgresql://{name}.internal:5432/orders"
    world.write("address.json", {"primary": address})
    return address


def _set_role(name: str, role: str) -> None:
    world.write(_file(name), {**world.read(_file(name), {}), "role": role})
    print(f"{name} is {role}")


def _file(name: str) -> str:
    return f"cluster/{name}.json"
