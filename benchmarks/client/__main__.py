"""Costs of one call, beside other clients that make the same one: `nox -s bench`.

Each contender of a group has a process of its own, and they make short blocks of calls in turn, so that other work on
the machine slows them all alike: read the ratios. Instructions are counted by valgrind, where it is installed. The
results are written after each group; a group that is measured again replaces only itself.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server.results import commit_of

from . import pages, pictures, report, results, rounds, start
from .canned import Endpoint, canned_server, canned_tls_server
from .groups import GROUPS, OURS
from .instructions import can_be_counted

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "benchmarks" / "measured_client.json"
STARTS = {"imports": start.imports, "first-reply": start.first_replies}
PARTS = (*GROUPS, *STARTS, "memory")
FULL, QUICK = rounds.Sizes(60, 40), rounds.Sizes(15, 8)
STARTING = 20  # rounds of cold starts at most: each is a whole process
Endpoints = Mapping[bool, Endpoint]
"""Address of the canned server without TLS, and with it."""


def main() -> None:
    options = parsed()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process would compile all modules for itself
    output = options.output or (Path("quick_client.json") if options.quick else MEASURED)
    found = results.load(output)
    failed = []
    if not options.draw:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaving the contexts ends what they have started
        failed = measure(options, found, output)
    print("\n".join(report.lines(found)))
    if options.draw:
        pictures.draw(found)
        pages.renew(found)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def measure(options: argparse.Namespace, found: results.Results, output: Path) -> list[str]:
    """Measure the parts that were asked for, and write the results after each. Return those that failed."""
    sizes = QUICK if options.quick else FULL
    sizes = sizes._replace(rounds=options.rounds or sizes.rounds)
    failed = []
    with servers() as endpoints:
        for part in options.parts or PARTS:
            began = time.monotonic()
            try:
                measure_part(part, endpoints, sizes, found, options)
            except (rounds.Ended, OSError) as error:  # the others are still worth their time
                failed.append(part)
                print(f"{part}: {error}", file=sys.stderr, flush=True)
                continue
            results.describe_machine(found, commit_of(ROOT))
            results.save(found, output)
            print(f"{part}: {time.monotonic() - began:.0f} s, written to {output}", flush=True)
    return failed


def measure_part(
    part: str, endpoints: Endpoints, sizes: rounds.Sizes, found: results.Results, options: argparse.Namespace
) -> None:
    if part == "memory":
        found.garbage = rounds.left_behind(endpoints[False], () if options.quick else ("httpx", "requests"))
    elif part in STARTS:
        few = sizes._replace(rounds=min(sizes.rounds, STARTING))
        found.groups[part] = STARTS[part](endpoints[False], few)
    else:
        group = GROUPS[part]
        endpoint = endpoints[group.over_tls]
        measured = rounds.interleaved(part, endpoint, sizes)
        if group.is_counted and not options.no_instructions and can_be_counted():
            who = [one for one in measured.times if not options.quick or is_budgeted(one, group.reference)]
            measured.instructions = rounds.count(part, endpoint, who)
        found.groups[part] = measured


def is_budgeted(who: str, reference: str) -> bool:
    """Tell whether a budget is about this contender, so that a quick run counts its instructions, too."""
    return who.startswith((OURS, reference))


@contextmanager
def servers() -> Iterator[Endpoints]:
    with canned_server() as plain, canned_tls_server() as secured:
        yield {False: plain, True: secured}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.client", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="GROUP", help=f"groups to run, of {', '.join(PARTS)} (all)")
    parser.add_argument("--quick", action="store_true", help="a few minutes, with fewer rounds")
    parser.add_argument("--rounds", type=int, help="blocks of each contender")
    parser.add_argument("--no-instructions", action="store_true", help="do not run valgrind")
    parser.add_argument("--output", type=Path, help="file of the results, whose other groups stay as they are")
    parser.add_argument("--draw", action="store_true", help="measure nothing; draw pictures and tables of the docs")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown groups: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
