"""Bytecode instructions of one call, by layer of the client: `python -m benchmarks.client.counts`.

CPython executes the same number each time, on any machine, so a test can hold them to `counts.json`, where a time
would need a quiet machine. Instructions of C code are not among them; `nox -s bench` counts those, too.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import opentelemetry.trace  # noqa: F401  # as in a service that is traced: without it the client reports nothing

import airplane_runbooks
from airplane_runbooks import Airplane, Request, Response
from airplane_runbooks.http import Headers

from .canned import canned_server

PACKAGE = Path(airplane_runbooks.__file__).parent
BASELINE = Path(__file__).with_name("counts.json")
PYTHON = "3.11"  # of the baseline: other versions have other instructions
TOLERANCE = 0.03
WARM_UP = 20

SESSION = {
    "id": "ses20220120za1pskd",
    "runbookID": "rbk20220120z15kl79",
    "name": "Refund",
    "status": "Active",
    "paramValues": {"limit": 20, "name": "ada"},
    "createdAt": "2022-01-20T22:32:45Z",
    "updatedAt": "2022-01-20T22:32:46Z",
}

Counts = Mapping[str, Mapping[str, int]]
"""For each call, the instructions of each layer, and their `total`."""


class NullTransport:
    """Answer at once, so that nothing but what lies above the transport is counted."""

    def __init__(self, body: bytes) -> None:
        self._response = Response(status=200, headers=Headers({"content-type": "application/json"}), body=body)

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Return the response that is always the same."""
        del request, timeout
        return self._response

    def close(self) -> None:
        """Do nothing."""


def measured() -> Counts:
    """Count the instructions of `execute` and of `sessions.get`, over a null transport and over real sockets."""
    started = Airplane("tkn_counts", transport=NullTransport(b'{"sessionID":"ses20220120za1pskd"}'))
    reader = Airplane("tkn_counts", transport=NullTransport(msgspec.json.encode(SESSION)))
    with canned_server() as endpoint, Airplane("tkn_counts", base_url=f"{endpoint.origin}/v0") as connected:
        return {
            "execute": counted(lambda: execute(started)),
            "sessions.get": counted(lambda: reader.sessions.get("ses20220120za1pskd")),
            "execute over a socket": counted(lambda: execute(connected)),
        }


def execute(airplane: Airplane) -> object:
    return airplane.runbooks.execute("hello_world", param_values={"limit": 20, "name": "ada"})


def counted(call: Callable[[], object]) -> dict[str, int]:
    """Count the instructions of the last of some calls, by layer."""
    for _ in range(WARM_UP):
        call()
    found: Counter[str] = Counter()
    layers: dict[str, str] = {}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            path = frame.f_code.co_filename
            found[layers.get(path) or layers.setdefault(path, layer_of(path))] += 1
        return trace

    gc.disable()  # a finalizer may run at any time
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
        gc.enable()
    found.pop("counts", None)
    return {"total": sum(found.values()), **dict(sorted(found.items()))}


def layer_of(path: str) -> str:
    """Return the package or module of the client that a file belongs to; `others` for those of others."""
    if path == __file__:
        return "counts"
    if not path.startswith("<") and Path(path).is_relative_to(PACKAGE):
        return Path(path).relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "generated" if path.startswith("<") else "others"


def growth(baseline: Counts, now: Counts) -> list[str]:
    """Describe the calls that take more instructions than the baseline allows, with the layers that have grown."""
    found = []
    for name, layers in now.items():
        then = baseline[name]
        if layers["total"] > then["total"] * (1 + TOLERANCE):
            grown = (
                f"{layer} {then.get(layer, 0)} -> {count}"
                for layer, count in layers.items()
                if layer != "total" and count > then.get(layer, 0)
            )
            found.append(f"{name}: {then['total']} -> {layers['total']} instructions ({', '.join(grown)})")
    return found


def load() -> Counts:
    """Return the baseline."""
    baseline: Counts = json.loads(BASELINE.read_text())
    return baseline


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.client.counts", description=__doc__)
    parser.add_argument("--save", action="store_true", help="make these the baseline")
    save = parser.parse_args().save
    if not platform.python_version().startswith(f"{PYTHON}."):
        parser.error(f"the counts are those of Python {PYTHON}")
    now = measured()
    if save:
        BASELINE.write_text(json.dumps(now, indent=2) + "\n")
    for name, layers in now.items():
        print(f"{name}: " + ", ".join(f"{layer} {count}" for layer, count in layers.items()))
    if grown := growth(load(), now):
        sys.exit("\n".join(grown))


if __name__ == "__main__":
    main()
