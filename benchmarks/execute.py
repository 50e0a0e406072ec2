"""What one `execute` costs, beside others who make the same call: `nox -s bench`.

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

from contenders import CONTENDERS, REFERENCE, Call

BLOCK = 10
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
        repeat(CONTENDERS[options.only](options.port), options.calls)
        return
    with canned_server() as port:
        wall, cpu = interleaved(port, options.rounds)
        counts = {} if options.no_instructions or not shutil.which("valgrind") else instructions(port)
    report(wall, cpu, counts)


@contextmanager
def canned_server() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, HERE / "canned.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def repeat(call: Call, count: int) -> None:
    for _ in range(count):
        call()


def interleaved(port: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    calls = {name: make(port) for name, make in CONTENDERS.items()}
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        repeat(call, 200)
    for _ in range(rounds):
        for name, call in calls.items():
            started, started_cpu = time.perf_counter(), time.process_time()
            repeat(call, BLOCK)
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - started_cpu)
    return wall, cpu


def instructions(port: int) -> dict[str, float]:
    return {name: (counted(name, LONG, port) - counted(name, SHORT, port)) / (LONG - SHORT) for name in CONTENDERS}


def counted(name: str, calls: int, port: int) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out", "--"]
        command += [sys.executable, __file__, "--only", name, "--calls", str(calls), "--port", str(port)]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = re.search(r"Collected *: *(\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def report(wall: dict[str, list[float]], cpu: dict[str, list[float]], counts: dict[str, float]) -> None:
    """Print each contender's cost per call over the reference's: medians of the ratios round by round."""
    print(f"{'per call, over ' + REFERENCE:<24}{'instructions':>14}{'cpu':>8}{'wall p50':>10}")
    for name in CONTENDERS:
        count = f"{counts[name] / counts[REFERENCE]:.2f}" if counts else "-"
        print(f"{name:<24}{count:>14}{ratio(cpu, name):>8.2f}{ratio(wall, name):>10.2f}")
    over_raw = {
        what: statistics.median(times["ours"]) / statistics.median(times["raw socket"])
        for what, times in (("cpu", cpu), ("wall", wall))
    }
    print(f"ours over the raw socket: cpu {over_raw['cpu']:.1f}, wall {over_raw['wall']:.1f}")


def ratio(times: dict[str, list[float]], name: str) -> float:
    return statistics.median(one / other for one, other in zip(times[name], times[REFERENCE], strict=True))


if __name__ == "__main__":
    main()
