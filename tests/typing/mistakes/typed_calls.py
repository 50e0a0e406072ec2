"""Typed calls on both sides of HTTP, with the mistakes that type checkers find. Checked by mypy and pyright, never run.

Each mistake names the error that either checker reports: a mistake that mypy misses leaves an unused `type: ignore`,
one that pyright misses an unnecessary `pyright: ignore`, and both count as errors.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, assert_type

import msgspec
from msgspec import UNSET, UnsetType

from airplane_runbooks import (
    Airplane,
    AsyncAirplane,
    ParameterSchema,
    Prompt,
    PromptHandler,
    RunbookCall,
    Session,
    StartedSession,
)
from airplane_runbooks.server import AsyncContext, Context, runbook

DAY = date(2026, 1, 31)


class Invoice(msgspec.Struct):
    id: str
    cents: int


class Approval(msgspec.Struct, kw_only=True):
    approve: bool
    note: str | None = None


@runbook
def refund(context: Context, customer: str, limit: int = 100) -> str:
    return customer


@runbook(slug="bill", version="2")
async def bill(context: AsyncContext, day: date, *, customers: list[str]) -> list[Invoice]:
    return []


class Refund(RunbookCall[str], slug="refund"):
    """The same runbook, known to callers without its code."""

    customer: str
    limit: int = 100
    dry_run: bool | UnsetType = msgspec.field(default=UNSET, name="dry-run")


class Bill(RunbookCall[list[Invoice]], slug="bill", rename={"on": "day"}):
    on: date


def calls_by_code(context: Context) -> None:
    assert_type(refund.call("c1"), RunbookCall[str])
    assert_type(refund.call(customer="c1", limit=5), RunbookCall[str])
    assert_type(bill.call(DAY, customers=[]), RunbookCall[list[Invoice]])

    refund.call(custmer="c1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    refund.call()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    refund.call(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    refund.call("c1", limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    refund.call("c1", 5, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    refund.call(context, "c1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bill.call(DAY, [])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    bill.call("2026-01-31", customers=[])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def calls_without_code() -> None:
    call = Refund(customer="c1", limit=5, dry_run=True)
    assert_type(call, Refund)
    assert_type(call.limit, int)
    assert_type(Bill(on=DAY).on, date)

    Refund(custmer="c1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Refund(limit=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Refund("c1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Refund(customer=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Refund(customer="c1", dry_run="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    call.limit = 6  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    call.limits  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    takes_numbers(call)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def takes_numbers(call: RunbookCall[int]) -> None: ...


def opaque(values: dict[str, Any]) -> None:
    assert_type(Refund(**values), Refund)


def agree(prompt: Prompt, schema: ParameterSchema) -> Approval:
    return Approval(approve=True)


def answers_text(prompt: Prompt, schema: ParameterSchema) -> str:
    return "yes"


def answers_of_handlers(take: Callable[[PromptHandler], None]) -> None:
    take(agree)
    take(lambda prompt, schema: Approval(approve=not prompt.is_open))

    take(answers_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Approval(approve="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Approval(aprove=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Approval(note="late")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def answers_in_runbooks(context: Context, other: AsyncContext) -> None:
    answer = context.prompt("Refund?", Approval)
    assert_type(answer, Approval)
    assert_type(await other.prompt("Refund?", Approval, confirm_text="Yes"), Approval)
    assert_type(context.prompt("Refund?", approve=bool), dict[str, Any])

    answer["approve"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    answer.aproved  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    answer.note.upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    context.prompt("Refund?", agree)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def executions(airplane: Airplane, context: Context) -> None:
    assert_type(airplane.runbooks.execute(Refund(customer="c1"), env_slug="prod"), StartedSession)
    assert_type(airplane.runbooks.execute(refund.call("c1")), StartedSession)
    assert_type(airplane.runbooks.execute_and_wait(bill.call(DAY, customers=[]), wait_timeout=60), Session)
    airplane.runbooks.execute_and_wait(Refund(customer="c1"), wait_timeout=60, on_prompt=agree)
    airplane.prompts.submit("pmt1", Approval(approve=True))

    airplane.runbooks.execute(Refund)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    airplane.runbooks.execute(refund)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    airplane.runbooks.execute(refund(context, "c1"), 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    airplane.runbooks.execute_and_wait(Approval(approve=True), wait_timeout=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    airplane.prompts.submit("pmt1", agree)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def async_executions(airplane: AsyncAirplane) -> None:
    assert_type(await airplane.runbooks.execute(refund.call("c1")), StartedSession)
    assert_type(await airplane.runbooks.execute_and_wait(Bill(on=DAY), wait_timeout=60), Session)

    await airplane.runbooks.execute(Refund)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    airplane.runbooks.execute(Refund(customer="c1")).session_id  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def results(airplane: Airplane) -> None:
    assert_type(airplane.runbooks.run(Refund(customer="c1"), wait_timeout=60, env_slug="prod", on_prompt=agree), str)
    assert_type(airplane.runbooks.run(bill.call(DAY, customers=[]), wait_timeout=60), list[Invoice])
    assert_type(airplane.runbooks.run("bill", {"on": DAY}, wait_timeout=60, type=Invoice), Invoice)
    assert_type(airplane.runbooks.run(id="rbk1", wait_timeout=None, type=list[Invoice]), list[Invoice])
    assert_type(airplane.runbooks.run("bill", wait_timeout=60), Any)
    airplane.runbooks.run("bill", wait_timeout=60, type=Invoice | None)
    assert_type(airplane.sessions.result("ses1", wait_timeout=60, type=Invoice), Invoice)
    assert_type(airplane.sessions.result("ses1", wait_timeout=60), Any)

    airplane.runbooks.run(Refund(customer="c1"), wait_timeout=60) + 1  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    airplane.runbooks.run(refund.call("c1"), wait_timeout=60).cents  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    airplane.runbooks.run(bill.call(DAY, customers=[]), wait_timeout=60)[0].cent  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    airplane.runbooks.run(Refund(customer="c1"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    airplane.runbooks.run(Refund(customer="c1"), {"limit": 5}, wait_timeout=60)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    airplane.runbooks.run(Refund, wait_timeout=60)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    airplane.runbooks.run("bill", wait_timeout=60, type="Invoice")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    airplane.runbooks.run("bill", wait_timeout=60, type=Invoice).cent  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    airplane.runbooks.run("bill", wait_timeout=60, on_prompt=answers_text)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    airplane.sessions.result("ses1", wait_timeout=60, type=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    airplane.sessions.result("ses1", type=Invoice)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def async_results(airplane: AsyncAirplane) -> None:
    assert_type(await airplane.runbooks.run(Bill(on=DAY), wait_timeout=60), list[Invoice])
    assert_type(await airplane.runbooks.run("bill", wait_timeout=60, type=int), int)
    assert_type(await airplane.sessions.result("ses1", wait_timeout=60, type=Invoice), Invoice)

    (await airplane.runbooks.run(Refund(customer="c1"), wait_timeout=60)).cents  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    airplane.runbooks.run(Refund(customer="c1"), wait_timeout=60).upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
