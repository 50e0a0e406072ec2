"""Runbooks of an author, as a type checker sees them. Checked by mypy and pyright, never run.

Every ignored line must be an error to both, as in `api.py`.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, assert_type

from airplane_runbooks.server import (
    AsyncContext,
    Context,
    Field,
    Limits,
    Reviewers,
    RunbookServer,
    User,
    cancelled,
    runbook,
    serve,
    task,
)


@task
def find(customer: str) -> dict[str, int]:
    return {customer: 1}


@task(slug="pay_out", timeout=30)
async def pay(cents: int) -> str:
    return str(cents)


@runbook
def refund(context: Context, customer: str, limit: int = 5) -> str:
    assert_type(context.session_id, str)
    assert_type(context.step(find, customer), dict[str, int])
    assert_type(context.step(len, customer, name="length", retries=2), int)
    assert_type(context.parallel(lambda: context.step(find, "a"), lambda: {"b": 1}, limit=2), list[dict[str, int]])
    answer = context.prompt(
        "Refund?",
        reviewers=Reviewers(users=("ada@example.com",)),
        expires_in=timedelta(days=2),
        approve=bool,
        cents=Field(int, default=limit),
    )
    assert_type(answer, dict[str, Any])
    assert_type(context.step(find, customer, timeout=2.5, volatile=("customer",)), dict[str, int])
    assert_type(context.cancelled or cancelled(), bool)
    context.step(find, customer, retries="2")  # type: ignore[arg-type]
    context.step(find, customer, timeout="2")  # type: ignore[arg-type]
    context.prompt("Refund?", expires_in=2)  # type: ignore[call-overload]
    return "refunded"


@runbook(slug="refund_all", version="2", timeout=600)
async def refund_all(context: AsyncContext, customers: list[str]) -> list[str]:
    assert_type(await context.step(pay, 5), str)
    assert_type(await context.step(len, "a"), int)
    assert_type(await context.prompt("Go on?", go=bool), dict[str, Any])
    return await asyncio.gather(*(context.step(pay, len(customer)) for customer in customers))


def decorated(context: Context, other: AsyncContext) -> None:
    assert_type(find("c1"), dict[str, int])
    assert_type(refund(context, "c1", limit=3), str)
    assert_type(refund.slug, str)
    refund(context, 1)  # type: ignore[arg-type]
    refund(other, "c1")  # type: ignore[arg-type]


def serving() -> None:
    people = [User("ada@example.com", "tkn_1", groups=["finance"])]
    with RunbookServer([refund, refund_all], tasks=[find, pay], users=people, limits=Limits(max_calls=8)) as server:
        assert_type(server.base_url, str)
        assert_type(server.api_key, str)
    assert_type(serve([refund], database="postgresql://localhost/x", workers=4, keep_for=timedelta(days=30)), None)
    serve([refund], api_key=("tkn_new", "tkn_old"), public_url="https://a.example", trusted_proxies=["10.0.0.0/8"])
    serve([refund], worker=4)  # type: ignore[call-arg]
    RunbookServer([refund], grace="10")  # type: ignore[arg-type]
