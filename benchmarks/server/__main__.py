"""Costs of sessions in our server, beside bare DBOS, an earlier commit and the disk: `nox -s bench_server`.

W1 is a session of one step that does nothing; W2 is a step, a wait for a human, and a step. Contenders take turns in
short rounds, so that other work on the machine slows them all alike: read the ratios. Only counts are exact.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Results

HERE = Path(__file__).parent
MEASURED = HERE.with_name("measured.json")
PARTS = ("throughput", "latency", "alone", "waiting", "polls", "servers")  # functions
SIZES = {
    "rounds": "rounds of bursts",
    "burst": "sessions of a burst",
    "singles": "sessions of each contender, one at a time",
    "waiting": "sessions that wait",
    "polls": "long polls that wait",
}
# The tests' cluster writes without waiting for the disk. This one waits, and says whose statements it logs.
DURABLE = {"fsync": "on", "shared_buffers": "128MB", "log_line_prefix": "%p %d "}


def main() -> None:
    options = parsed()
    from . import pictures, report, results

    output = options.output or (Path("quick.json") if options.quick else MEASURED)
    found = results.load(output)
    if not options.draw:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaving the contexts ends what they have started
        run(options, found, output)
    print("\n".join(report.lines(found)))
    if options.draw:
        pictures.draw(found)


def run(options: argparse.Namespace, found: Results, output: Path) -> None:
    """Run the parts that were asked for, and write the results after each."""
    from tests.support.postgres import running

    from . import parts, processes, results, waiting
    from .stage import FULL, QUICK, Stage

    sizes = QUICK if options.quick else FULL
    sizes = sizes._replace(**{name: value for name in SIZES if (value := getattr(options, name))})
    with running(**DURABLE) as postgres, tempfile.TemporaryDirectory() as folder:
        stage = Stage(postgres, Path(folder), options.against)
        if options.against is not None:
            found.against = results.commit_of(options.against)
        found.commit = results.commit_of(processes.ROOT)
        for part in options.parts or PARTS:
            began = time.monotonic()
            getattr(waiting if hasattr(waiting, part) else parts, part)(stage, sizes, found)
            print(f"{part}: {time.monotonic() - began:.0f} s, written to {output}", flush=True)
            results.save(found, output)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.server", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run, of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a few minutes, with fewer sessions")
    for name, help_of_size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=help_of_size)
    parser.add_argument("--against", type=Path, help="checkout of an earlier commit, which runs in the same rounds")
    parser.add_argument("--output", type=Path, help="file of the results, whose other parts stay as they are")
    parser.add_argument("--draw", action="store_true", help="measure nothing; draw the pictures of the documentation")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
