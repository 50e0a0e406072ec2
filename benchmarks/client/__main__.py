"""Costs of one `execute`, beside other clients that make the same call: `nox -s bench`.

All contenders of a part run in one process, in short blocks that take turns, so that other work on the machine slows
them all alike. Read the ratios. Instructions are counted under valgrind, where it is installed, in a process for each
contender: the difference between a long and a short run, so that start-up cancels out.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from . import instructions, parts, pictures, report, results
from .canned import Endpoint, canned_server, canned_tls_server
from .groups import GROUPS

HERE = Path(__file__).parent
MEASURED = HERE.with_name("measured_client.json")


def main() -> None:
    options = parsed()
    if options.only:
        instructions.repeat(options.only, options.calls, Endpoint(options.port, options.ca))
        return
    found = results.load(options.output)
    if not options.draw:
        measure(options, found)
    print("\n".join(report.lines(found)))
    if options.draw:
        pictures.draw(found)


def measure(options: argparse.Namespace, found: results.Results) -> None:
    """Measure the groups that were asked for, and write the results after each."""
    with canned_server() as plain, canned_tls_server() as secured:
        for name in options.groups or GROUPS:
            group = GROUPS[name]
            endpoint = secured if group.over_tls else plain
            found.groups[name] = parts.interleaved(group, endpoint, options.rounds)
            if group.is_counted and not options.no_instructions and shutil.which("valgrind"):
                found.groups[name].instructions = instructions.counted(group, endpoint)
            results.save(found, options.output)
            print(f"{name}: written to {options.output}", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.client", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"groups to run, of {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=100, help="blocks of each contender (default: %(default)s)")
    parser.add_argument("--no-instructions", action="store_true", help="do not run valgrind")
    parser.add_argument("--output", type=Path, default=MEASURED, help="file of the results; other groups stay in it")
    parser.add_argument("--draw", action="store_true", help="measure nothing; draw the pictures of the documentation")
    for name in ("--only", "--ca"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    for name in ("--calls", "--port"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"unknown groups: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
