"""Executes a runbook for each line of a file: `python -m batch customers.txt --runbook send_statement`.

The server and the key come from AIRPLANE_API_HOST and AIRPLANE_API_KEY. Begin an interrupted batch again by the same
command: the journal beside the file tells what is done.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from airplane_runbooks import AsyncAirplane

from .journal import Journal
from .runner import Batch, Report

SHOWN = 20  # items of a list; the journal has them all
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the batch, and return the exit status: 0 if all sessions have succeeded."""
    parser = argparse.ArgumentParser(prog="python -m batch", description=__doc__)
    parser.add_argument("items", type=Path, help="a file with an item on each line")
    parser.add_argument("--runbook", required=True, help="slug of the runbook")
    parser.add_argument("--parameter", default="customer", help="slug of the parameter that takes the item")
    parser.add_argument("--concurrency", type=int, default=50, help="sessions at a time")
    options = parser.parse_args(arguments)
    items = options.items.read_text(encoding="utf-8").split("\n")
    return run(
        AsyncAirplane(),
        [item for item in items if item],
        runbook=options.runbook,
        parameter=options.parameter,
        path=options.items.with_suffix(".journal"),
        concurrency=options.concurrency,
    )


def run(
    airplane: AsyncAirplane, items: list[str], *, runbook: str, parameter: str, path: Path, concurrency: int
) -> int:
    """Run a batch under a progress bar, print what it comes to, and return the exit status."""
    console = Console()
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    count = len(set(items))
    with Journal(path) as journal, Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=count)

        async def follow() -> Report:
            async with airplane:
                batch = Batch(airplane, runbook, parameter, journal)
                return await batch.run(items, concurrency=concurrency, on_item=lambda: progress.advance(bar))

        try:
            report = asyncio.run(follow())
        except KeyboardInterrupt:
            progress.stop()
            console.print(f"interrupted: {len(journal.ended)} of {count} have ended. Sessions that have begun go on.")
            console.print("Begin the batch again by the same command.")
            return INTERRUPTED
    return tell(report, count, console)


def tell(report: Report, count: int, console: Console) -> int:
    """Print a report, and return the exit status."""
    show(console, "failed", [f"{item}: {why}" for item, why in report.failed.items()])
    show(
        console, "have no outcome yet: begin the batch again", [f"{item}: {why}" for item, why in report.undone.items()]
    )
    show(console, "may have been started: look for their sessions", report.unsure)
    bad = len(report.failed) + len(report.undone) + len(report.unsure)
    console.print(f"{count - bad} of {count} have succeeded")
    return 1 if bad else 0


def show(console: Console, title: str, lines: list[str]) -> None:
    """Print a list, unless it is empty. Items are not markup."""
    if lines:
        console.print(f"{len(lines)} {title}:")
        for line in lines[:SHOWN]:
            console.print(f"  {line}", markup=False, highlight=False)
        if len(lines) > SHOWN:
            console.print(f"  and {len(lines) - SHOWN} more, see the journal")


if __name__ == "__main__":
    raise SystemExit(main())
