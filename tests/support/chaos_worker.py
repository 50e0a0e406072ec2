"""A server of its own process, whose steps write down each execution: `worker.py URL PORT JOURNAL`.

The journal has one line for each execution of a step, written when it is done and about to be reported:
`session step nonce`. The nonce is the step's output, so that a reader of both knows which execution counted.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
import time

from airplane_runbooks.server import AsyncContext, Context, runbook, serve

KEY = "tkn_chaos"
GRACE = float(os.environ.get("CHAOS_GRACE", "5"))

if SKEW := float(os.environ.get("CHAOS_SKEW", "0")):
    right = time.time
    time.time = lambda: right() + SKEW
JOURNAL = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def execute(session_id: str, name: str, seconds: float) -> str:
    """Take some time, and write the execution down."""
    time.sleep(random.uniform(0, seconds))
    nonce = secrets.token_hex(8)
    os.write(JOURNAL, f"{session_id} {name} {nonce}\n".encode())
    return nonce


@runbook
def refund(context: Context, seconds: float = 0.05) -> list[str]:
    """Two steps, a question, two steps that run side by side, a question, a last step."""
    done = [context.step(execute, context.session_id, name, seconds, name=name) for name in ("find", "check")]
    if not context.prompt("Refund?", approve=bool)["approve"]:
        return done
    done += context.parallel(
        lambda: context.step(execute, context.session_id, "pay", seconds, name="pay"),
        lambda: context.step(execute, context.session_id, "tell", seconds, name="tell"),
    )
    context.prompt("Close?", close=bool)
    return [*done, context.step(execute, context.session_id, "close", seconds, name="close")]


def same(number: int) -> int:
    return number


@runbook
def one_step(context: Context, number: int) -> int:
    """As little as a session can do."""
    return context.step(same, number)


@runbook
def waits(context: Context, number: int) -> int:
    """Ask, and do nothing else."""
    context.prompt("Go on?", go=bool)
    return number


@runbook
async def gather(context: AsyncContext, seconds: float = 0.05) -> list[str]:
    """Branches that each ask and go on by themselves."""

    async def branch(name: str) -> list[str]:
        first = await context.step(execute, context.session_id, f"{name} one", seconds, name=f"{name} one")
        await context.prompt(f"{name}?", go=bool)
        return [first, await context.step(execute, context.session_id, f"{name} two", seconds, name=f"{name} two")]

    left, right = await asyncio.gather(branch("left"), branch("right"))
    return left + right


def die() -> None:
    """Take the whole server along."""
    time.sleep(0.1)
    os._exit(1)


@runbook
def poison(context: Context) -> None:
    """Kill the process that executes it."""
    context.step(die)


@runbook
def long(context: Context, seconds: float = 5.0) -> str:
    """Take longer than any server that is stopped waits."""
    context.step(time.sleep, seconds)
    return "ended"


if __name__ == "__main__":
    books = [refund, one_step, waits, gather, poison, long]
    serve(books, database=sys.argv[1], port=int(sys.argv[2]), api_key=KEY, grace=GRACE)
