"""The operations, as typed calls: parameters and results as the runbooks declare them."""

from __future__ import annotations

import msgspec

from airplane_runbooks import RunbookCall


class Receipt(msgspec.Struct, frozen=True):
    """The result of a refund."""

    id: str
    customer: str
    cents: int


class Refund(RunbookCall[Receipt], slug="refund"):
    """Pay an amount back."""

    customer: str
    cents: int


class OpenInvoices(RunbookCall[list[str]], slug="open_invoices"):
    """List the invoices that a customer has not paid. The runbook calls the second parameter `limit`."""

    customer: str
    at_most: int = msgspec.field(name="limit", default=10)
