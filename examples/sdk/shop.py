"""The runbooks behind the SDK, as the team that owns them would serve them. The SDK does not import them."""

from __future__ import annotations

from typing import Annotated, TypedDict

from airplane_runbooks.server import Context, Field, runbook

INVOICES = {"ada@example.com": ["inv_1", "inv_2", "inv_3"]}


class Paid(TypedDict):
    """A receipt."""

    id: str
    customer: str
    cents: int


def pay(customer: str, cents: int) -> Paid:
    """Pay an amount back."""
    if customer not in INVOICES:
        raise LookupError(f"{customer} is not a customer")
    return Paid(id="rfd_1", customer=customer, cents=cents)


@runbook
def refund(context: Context, customer: Annotated[str, Field(regex=r"[^@ ]+@[^@ ]+")], cents: int) -> Paid:
    """Pay an amount back; what exceeds 100.00 needs an approval."""
    if cents > 10_000:
        context.prompt(f"Refund {cents / 100:.2f} to {customer}?", approve=bool)
    return context.step(pay, customer, cents)


@runbook
def open_invoices(_context: Context, customer: str, limit: int = 10) -> list[str]:
    """List the invoices that a customer has not paid."""
    return INVOICES.get(customer, [])[:limit]
