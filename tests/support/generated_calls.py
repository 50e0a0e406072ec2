"""Runbooks of every kind, and the module that is generated for them.

`python -m tests.support.generated_calls` writes it. Type checkers see the module in tests/typing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec

from airplane_runbooks import Airplane, ConfigVar, Upload
from airplane_runbooks.cli.generating import module_of
from airplane_runbooks.server import AsyncContext, Context, Field, RunbookServer, runbook

FILE = Path(__file__).parents[1] / "typing" / "generated.py"

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Risk(Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Line:
    """A line of an invoice."""

    text: str
    cents: int = 0
    tags: list[str] = field(default_factory=list)
    part_of: Line | None = None


class Invoice(msgspec.Struct, rename="camel"):
    id: UUID
    lines: list[Line]
    due_on: date
    made_at: Moment
    risk: Risk
    rates: dict[str, float]
    paid: bool = False
    share: tuple[int, str] = (0, "")


class Odd(TypedDict):
    from_: NotRequired[int]
    both: int | str | None


class Paid(msgspec.Struct, tag="paid", tag_field="state"):
    on: date


class Owed(msgspec.Struct, tag="owed", tag_field="state"):
    """A payment to come."""

    cents: int
    parts: list[Paid | Owed] = []


Keyed = TypedDict("Keyed", {"from": int, "a b": str, "class": NotRequired[list[Line]]})


@runbook
def bill(  # noqa: PLR0917 - parameters of every type
    context: Context,
    customer: str,
    date: date,
    at: datetime | None = None,
    cents: int = 100,
    rate: float = 1.5,
    urgent: bool | None = True,
    words: list[str] = ["a"],  # noqa: B006
    size: Annotated[str, Field(options=["S", "M"])] = "S",
    level: Annotated[int, Field(options=[1, 2])] = 1,
    token: ConfigVar | None = None,
    scan: Upload | None = None,
    extra: Any = None,
) -> Invoice:
    """Write an invoice, and say "done".

    A backslash \\ and quotes \"\"\" do no harm.

    Args:
        customer: Address of the customer, such as `ada@example.com`.
        from_: Not there.
    """
    raise NotImplementedError


@runbook
def check(context: Context) -> list[Odd]:
    raise NotImplementedError


@runbook
def keyed(context: Context, str: str) -> Keyed | None:
    raise NotImplementedError


@runbook
def settle(context: Context) -> list[Paid | Owed | str] | None:
    return [Paid(date(2026, 1, 31)), Owed(5, [Owed(2)]), "cash"]


@runbook
def count(context: Context) -> dict[str, Literal[1, 2]]:
    """Count."""
    return {"ada": 2}


@runbook
def unknown(context: Context):
    return {"any": 1}


@runbook
async def nothing(context: AsyncContext) -> None:
    """Do nothing."""


RUNBOOKS = [unknown, bill, check, keyed, settle, count, nothing]


def generated() -> str:
    """Return the module for these runbooks, as a server lists them."""
    with RunbookServer(RUNBOOKS) as server, Airplane(server.api_key, base_url=server.base_url) as airplane:
        return module_of(airplane.runbooks.list())


if __name__ == "__main__":
    FILE.write_text(generated(), encoding="utf-8")
