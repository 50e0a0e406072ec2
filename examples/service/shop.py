"""The runbook behind the service, as the team that owns it would serve it."""

from __future__ import annotations

from typing import TypedDict

from airplane_runbooks.server import Context, runbook


class Receipt(TypedDict):
    """The result of a refund."""

    customer: str
    cents: int


def before_payment() -> object:
    """Do nothing. A test makes payments slow here."""


def pay(customer: str, cents: int) -> Receipt:
    """Pay an amount back."""
    before_payment()
    if not customer.endswith("@example.com"):
        raise LookupError(f"{customer} is not a customer")
    return Receipt(customer=customer, cents=cents)


@runbook
def refund(context: Context, customer: str, cents: int) -> Receipt:
    """Pay an amount back; what exceeds 100.00 needs an approval."""
    if cents > 10_000:
        context.prompt(f"Refund {cents / 100:.2f} to {customer}?", approve=bool)
    return context.step(pay, customer, cents)
