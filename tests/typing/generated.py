"""The runbooks of a server as typed calls, made by `airplane-runbooks generate`. Edits will be lost."""

# ruff: noqa
from __future__ import annotations

import datetime
import uuid
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from airplane_runbooks import ConfigVar, RunbookCall, Upload

__all__ = ["Bill", "Check", "Count", "Keyed", "Nothing", "Settle", "Unknown"]


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an invoice."""

    text: str
    cents: int = 0
    tags: list[str] | UnsetType = UNSET
    part_of: BillLine | None = None


class BillResult(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a result of the runbook, `Invoice`."""

    id: uuid.UUID
    lines: list[BillLine]
    dueOn: datetime.date
    madeAt: datetime.datetime
    risk: Literal["high", "low"]
    rates: dict[str, float]
    paid: bool = False
    share: tuple[int, str] | UnsetType = UNSET


class Bill(RunbookCall[BillResult], slug="bill"):
    """Write an invoice, and say \"done\".

    A backslash \\ and quotes \"\"\" do no harm.
    """

    # Address of the customer, such as `ada@example.com`.
    customer: str
    date: datetime.date
    at: datetime.datetime | None = None
    cents: int | UnsetType = UNSET
    rate: float | UnsetType = UNSET
    urgent: bool | None | UnsetType = UNSET
    words: list[str] | UnsetType = UNSET
    size: Literal["S", "M"] | UnsetType = UNSET
    level: Literal[1, 2] | UnsetType = UNSET
    token: ConfigVar | None = None
    scan: Upload | None = None
    extra: Any = None


class CheckOdd(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a result of the runbook, `Odd`."""

    both: int | str | None
    from_: int | UnsetType = UNSET


class Check(RunbookCall[list[CheckOdd]], slug="check"):
    """Check"""


class Count(RunbookCall[dict[str, Literal[1, 2]]], slug="count"):
    """Count."""


class KeyedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an invoice."""

    text: str
    cents: int = 0
    tags: list[str] | UnsetType = UNSET
    part_of: KeyedLine | None = None


class KeyedKeyed(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a result of the runbook, `Keyed`."""

    a_b: str = msgspec.field(name="a b")
    class_: list[KeyedLine] | UnsetType = msgspec.field(name="class", default=UNSET)
    from_: int = msgspec.field(name="from")


class Keyed(RunbookCall[KeyedKeyed | None], slug="keyed"):
    """Keyed"""

    str_: str = msgspec.field(name="str")


class Nothing(RunbookCall[None], slug="nothing"):
    """Do nothing."""


class SettlePaid(msgspec.Struct, frozen=True, kw_only=True, tag_field="state", tag="paid"):
    """Part of a result of the runbook, `Paid`."""

    on: datetime.date


class SettleOwed(msgspec.Struct, frozen=True, kw_only=True, tag_field="state", tag="owed"):
    """A payment to come."""

    cents: int
    parts: list[SettlePaid | SettleOwed] = []


class Settle(RunbookCall[list[str | SettlePaid | SettleOwed] | None], slug="settle"):
    """Settle"""


class Unknown(RunbookCall[Any], slug="unknown"):
    """Unknown"""
