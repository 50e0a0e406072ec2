"""Runbooks of the checked-in databases of all versions. Their code must not change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

from airplane_runbooks.server import Context, Field, runbook, task

ENCRYPTION_KEY = "b0xKdrrGBoaUElbNM7xRUJvsnqnR8DsrTLfTzNZ2nyY="  # of nothing but these databases
API_KEY = "tkn_of_the_databases_of_version_1"


def look_up(customer: str) -> dict:
    return {"id": "inv_1042", "customer": customer}


def linger() -> str:
    while not Path(os.environ["RUNBOOK_LINGER_UNTIL"]).exists():
        time.sleep(0.02)
    return "done"


def log_in(token: str) -> str:
    return f"logged in with {token}"


@runbook
def refund(context: Context, customer: str, amount: int = 100) -> str:
    invoice = context.step(look_up, customer)
    answer = context.prompt(f"Refund {invoice['id']}?", approve=bool)
    return f"{amount} for {customer}" if answer["approve"] else "refused"


@runbook
def unlock(context: Context, token: Annotated[str, Field(secret=True)]) -> int:
    context.step(log_in, token)
    answer = context.prompt("Unlock?", pin=Field(str, secret=True))
    return len(token) + len(answer["pin"])


@runbook
def wait_long(context: Context) -> str:
    return context.step(linger)


@task
def add(a: int, b: int) -> int:
    return a + b
