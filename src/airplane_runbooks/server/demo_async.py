"""Two hundred refunds at once, followed by one async client: `python -m airplane_runbooks.server.demo_async`.

Each session runs its steps and stops at its prompt; a handler answers all of them. `--sessions` says how many there
are.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from typing import Any

from .. import AsyncAirplane
from ..models import ParameterSchema, Prompt, Session
from . import RunbookServer
from .demo import answer_by_itself, refund
from .demo_shop import send_invoices

PATIENCE_SECONDS = 300.0


def customer(number: int) -> str:
    """Return the address of a customer."""
    return f"customer{number}@example.com"


async def follow(airplane: AsyncAirplane, number: int, answered: Counter[str]) -> Session:
    """Execute one refund and wait for its end."""

    async def answer(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
        await asyncio.sleep(0)  # a handler would ask a colleague here, without holding up the others
        answered[prompt.id] += 1
        return answer_by_itself(schema)

    return await airplane.runbooks.execute_and_wait(
        "refund",
        param_values={"customer": customer(number)},
        wait_timeout=PATIENCE_SECONDS,
        on_prompt=answer,
    )


async def run(server: RunbookServer, count: int) -> int:
    """Run so many sessions at once, print their statuses, and return the exit status."""
    print(f"executing {count} runbooks", flush=True)
    answered: Counter[str] = Counter()
    started = time.perf_counter()
    async with AsyncAirplane(server.api_key, base_url=server.base_url) as airplane:
        sessions = await asyncio.gather(*(follow(airplane, number, answered) for number in range(count)))
        steps = await airplane.sessions.steps(sessions[0].id)
    elapsed = time.perf_counter() - started
    states = Counter(str(session.status) for session in sessions)
    print(f"{count} sessions at once: {dict(states)} in {elapsed:.1f} s, {sum(answered.values())} prompts answered")
    for step in steps:
        print(f"  {step.name}: {step.status}, output {step.output}")
    return 0 if states == {"Succeeded": count} and sorted(answered.values()) == [1] * count else 1


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit status: 0 if all sessions succeeded, each of them asked once."""
    parser = argparse.ArgumentParser(prog="python -m airplane_runbooks.server.demo_async", description=__doc__)
    parser.add_argument("--sessions", type=int, default=200, metavar="N")
    options = parser.parse_args(arguments)
    send_invoices(map(customer, range(options.sessions)))
    with RunbookServer([refund]) as server:
        return asyncio.run(run(server, options.sessions))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left running")
        sys.exit(130)
