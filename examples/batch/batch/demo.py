"""A batch of sessions, and the server for it: `python -m batch.demo`. Press Ctrl-C, and run it again.

The folder `demo` keeps the server's database and the batch's journal. Remove it to begin anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from airplane_runbooks import AsyncAirplane
from airplane_runbooks.server import Context, RunbookServer, runbook

from .__main__ import run


def find_address(customer: str) -> str:
    """Return a customer's address. Raises LookupError for each one whose number ends in 777."""
    if customer.endswith("777"):
        raise LookupError(f"{customer} has no address")
    return f"{customer}@example.com"


def send(address: str) -> str:
    """Send a statement: here, to no one."""
    return f"sent to {address}"


@runbook
def send_statement(context: Context, customer: str) -> None:
    """Send a customer the statement of the month."""
    context.step(send, context.step(find_address, customer))


def main(arguments: list[str] | None = None) -> int:
    """Run the demo, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m batch.demo", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    customers = [f"customer-{number}" for number in range(options.sessions)]
    # As many sessions as the batch has stay readable, so that it can be begun again after any time.
    database = f"sqlite:///{options.folder}/runbooks.db"
    with RunbookServer([send_statement], database=database, keep_ended=2 * options.sessions) as server:
        airplane = AsyncAirplane(server.api_key, base_url=server.base_url)
        journal = options.folder / "statements.journal"
        return run(airplane, customers, runbook="send_statement", parameter="customer", path=journal, concurrency=50)


if __name__ == "__main__":
    raise SystemExit(main())
