"""Costs of one `execute`, beside others who make the same call: `nox -s bench`.

All contenders run in one process, in blocks of ten calls that take turns, so that a neighbour on the machine slows them
all alike. Only ratios are printed. Instructions are counted under valgrind, where it is installed, in a process for
each contender: the difference between a long and a short run, so that start-up cancels out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contenders import GROUPS, Group

BLOCK = 10
WARM_UP = 100
SHORT, LONG = 100, 300
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150, help="blocks of each contender (default: %(default)s)")
    parser.add_argument("--no-instructions", action="store_true", help="do not run valgrind")
    parser.add_argument("--only", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        makers = {name: make for group in GROUPS for name, make in group.contenders.items()}
        makers[options.only](options.port)(options.calls)
        return
    with canned_server() as port:
        for group in GROUPS:
            wall, cpu = interleaved(group, port, options.rounds)
            counts = {} if options.no_instructions or not shutil.which("valgrind") else instructions(group, port)
            report(group, wall, cpu, counts)


@contextmanager
def canned_server() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, HERE / "canned.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def interleaved(group: Group, port: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    contenders = {name: make(port) for name, make in group.contenders.items()}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for calls in contenders.values():
        calls(WARM_UP)
    for _ in range(rounds):
        for name, calls in contenders.items():
            started, started_cpu = time.perf_counter(), time.process_time()
            calls(BLOCK)
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - started_cpu)
    return wall, cpu


def instructions(group: Group, port: int) -> dict[str, float]:
    return {
        name: (counted(name, LONG, port) - counted(name, SHORT, port)) / (LONG - SHORT) for name in group.contenders
    }


def counted(name: str, calls: int, port: int) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out", "--"]
        command += [sys.executable, __file__, "--only", name, "--calls", str(calls), "--port", str(port)]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = re.search(r"Collected *: *(\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def report(group: Group, wall: dict[str, list[float]], cpu: dict[str, list[float]], counts: dict[str, float]) -> None:
    """Print each contender's cost per call over the reference's: medians of the ratios round by round."""
    reference = group.reference
    print(f"{'per call, over ' + reference:<40}{'instructions':>14}{'cpu':>8}{'wall p50':>10}")
    for name in group.contenders:
        count = f"{counts[name] / counts[reference]:.2f}" if counts else "-"
        print(f"{name:<40}{count:>14}{ratio(cpu, name, reference):>8.2f}{ratio(wall, name, reference):>10.2f}")
    if "raw socket" in group.contenders:
        over_raw = [ratio(times, "ours", "raw socket") for times in (cpu, wall)]
        print(f"ours over the raw socket: cpu {over_raw[0]:.1f}, wall {over_raw[1]:.1f}")
    print()


def ratio(times: dict[str, list[float]], name: str, reference: str) -> float:
    return statistics.median(one / other for one, other in zip(times[name], times[reference], strict=True))


if __name__ == "__main__":
    main()
