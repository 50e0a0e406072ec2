"""Calls of a generated module as a type checker sees them. Checked by mypy and pyright, never run."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any, Literal, assert_type

from generated import Bill, BillResult, Check, CheckOdd, Count, Keyed, KeyedKeyed, Nothing, Unknown

from airplane_runbooks import Airplane


def results(airplane: Airplane, day: date) -> None:
    bill = airplane.runbooks.run(Bill(customer="ada", date=day, size="M"), wait_timeout=60)
    assert_type(bill, BillResult)
    assert_type(bill.id, uuid.UUID)
    assert_type(bill.risk, Literal["low", "high"])
    assert_type(bill.lines[0].cents, int)
    assert_type(airplane.runbooks.run(Check(), wait_timeout=60), list[CheckOdd])
    assert_type(airplane.runbooks.run(Count(), wait_timeout=60), dict[str, Literal[1, 2]])
    assert_type(airplane.runbooks.run(Keyed(str_="a"), wait_timeout=60), KeyedKeyed | None)
    assert_type(airplane.runbooks.run(Unknown(), wait_timeout=60), Any)
    airplane.runbooks.execute(Nothing())


def mistakes(day: date) -> None:
    Bill(customer="ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Bill(customer="ada", date=day, size="L")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
