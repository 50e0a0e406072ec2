"""The layers of the package, and the imports between its modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import airplane_runbooks

PACKAGE = Path(airplane_runbooks.__file__).parent

# The layers, lowest first. A module imports from lower layers only, and from its own if it is a package.
LAYERS = [
    "version",
    "_extras",
    "_latch",
    "clock",
    "policy",
    "pools",
    "http",
    "errors",
    "schema",
    "models",
    "operations",
    "options",
    "_responses",
    "telemetry",
    "middleware",
    "bundles",
    "webhooks",
    "transports",
    "waiters",
    "_call",
    "_base_client",
    "resources",
    "client",
    "",  # the package itself: its public names
    "testing",
    "server.errors",
    "server.logs",
    "server.bounds",
    "server.notifications",
    "server.storage",
    "server.deliveries",
    "server.events",
    "server.secrets",
    "server.observers",
    "server.authoring",
    "server.execution",
    "server.engine",
    "server.service",
    "server.web",
    "server.settings",
    "server.configuration",
    "server.app",
    "server.serving",
    "server",
    "server.trace_tree",
    "server.demo_shop",
    "server.demo",
    "server.demo_async",
    "cli",
    "__main__",
]
# Programs of their own, which talk to the server as any user of the client does.
DEMOS = {"server.demo", "server.demo_async"}
# The command line, which is above the client and the server.
FRONT = {"cli", "__main__"}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name below the package, and the file, of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, but for what stands under `if TYPE_CHECKING:`, which no interpreter executes."""
    yield node
    type_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in node.orelse if type_only else ast.iter_child_nodes(node):
        yield from nodes(child)


def imports(name: str, path: Path) -> Iterator[str]:
    """Yield the dotted name below the package of everything of its own that a module imports, wherever it does."""
    package = name.split(".") if name else []
    if path.name != "__init__.py":
        package = package[:-1]
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE.name:
                    yield alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            elif node.module.split(".")[0] == PACKAGE.name:
                base = node.module.split(".")[1:]
            else:
                continue
            for alias in node.names:
                full = ".".join([*base, alias.name])
                yield full if full in NAMES else ".".join(base)


NAMES = {name for name, _ in modules()}
GRAPH = {name: set(imports(name, path)) for name, path in modules()}


def layer(name: str) -> str:
    """Return the longest of the layers' names that a module's name begins with."""
    parts = name.split(".")
    heads = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((head for head in heads if head in LAYERS), heads[-1])
