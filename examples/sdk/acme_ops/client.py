"""The client of this SDK: one method for each operation."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from msgspec import UNSET

from airplane_runbooks import Airplane, CallOptions

from .bundle import bundle
from .calls import OpenInvoices, Receipt, Refund
from .errors import translated


class Ops:
    """Operations on customers. Threads may share it.

    Args:
        airplane: A client that was built with `bundles=[bundle(team)]`.
        owned: Close that client together with this object.
    """

    def __init__(self, airplane: Airplane, *, owned: bool = False) -> None:
        self._airplane = airplane
        self._owned = owned

    @classmethod
    def connect(cls, team: str, api_key: str | None = None, *, base_url: str | None = None) -> Self:
        """Build a client for a team. What is not given comes from AIRPLANE_API_KEY and AIRPLANE_API_HOST."""
        with translated():
            return cls(Airplane(api_key, base_url=base_url, bundles=[bundle(team)]), owned=True)

    def refund(self, customer: str, cents: int, *, request_id: str | None = None, wait: float = 60) -> Receipt:
        """Pay an amount back, and wait so many seconds for the receipt.

        Two calls with one `request_id` make one refund, within an hour.

        Raises:
            OpsError: See its four subclasses.
        """
        options = CallOptions(idempotency_key=UNSET if request_id is None else request_id)
        with translated():
            return self._airplane.runbooks.run(
                Refund(customer=customer, cents=cents), wait_timeout=wait, options=options
            )

    def receipt(self, job: str, *, wait: float = 60) -> Receipt:
        """Wait for the receipt of a refund whose end was not seen; `job` is the one of OpsPending."""
        with translated():
            return self._airplane.sessions.result(job, wait_timeout=wait, type=Receipt)

    def open_invoices(self, customer: str, *, at_most: int = 10, wait: float = 10) -> list[str]:
        """Return the IDs of invoices that are not paid, the oldest first."""
        with translated():
            return self._airplane.runbooks.run(OpenInvoices(customer=customer, at_most=at_most), wait_timeout=wait)

    def close(self) -> None:
        """Close the connections, unless others use the client too. Closing twice is fine."""
        if self._owned:
            self._airplane.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
