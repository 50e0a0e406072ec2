"""Something of everything: calls that succeed and fail, sessions that fail and wait, messages that do not arrive."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from airplane_runbooks import Airplane, ConnectError, NotFound, RetryPolicy
from airplane_runbooks.server import Context, RunbookServer, Webhook, runbook

WAIT_SECONDS = 60.0


def find_invoice(customer: str) -> str:
    """Return the number of an invoice. Raises LookupError if there is none."""
    if customer == "bob":
        raise LookupError("bob has no invoice")
    return f"invoice of {customer}"


@runbook
def refund(context: Context, customer: str) -> None:
    """Refund an invoice."""
    context.step(find_invoice, customer)


@runbook
def ask(context: Context) -> None:
    """Wait for an answer."""
    context.prompt("Go on?", go=bool)


@dataclass
class Traffic:
    """A client of a server, and one of a server that is gone."""

    airplane: Airplane
    lost: Airplane

    def flow(self) -> None:
        """Make some calls of each kind."""
        for customer in ("ada", "bob", "eve"):
            session_id = self.airplane.runbooks.execute("refund", {"customer": customer}).session_id
            self.airplane.sessions.wait(session_id, wait_timeout=WAIT_SECONDS, raise_on_failure=False)
        self.airplane.runbooks.run("refund", {"customer": "ada"}, wait_timeout=WAIT_SECONDS)
        self.airplane.runbooks.execute("ask")
        with suppress(NotFound):
            self.airplane.runbooks.execute("absent")
        with suppress(ConnectError):
            self.lost.runbooks.execute("refund", {"customer": "ada"})


@contextmanager
def traffic(meters: MeterProvider, tracers: TracerProvider | None = None) -> Generator[Traffic]:
    """Run a server whose metrics, and those of its clients, go to a provider."""
    with RunbookServer([refund]) as gone:
        lost_url = gone.base_url
    secret = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
    hook = Webhook(f"{lost_url.removesuffix('/v0')}/hook", secret=secret, events=["prompt.opened"])
    with (
        RunbookServer(
            [refund, ask],
            api_key=secrets.token_urlsafe(),
            public_url="https://runbooks.example.com",
            notify=[hook],
            meter_provider=meters,
            tracer_provider=tracers,
        ) as server,
        Airplane(
            server.api_key, base_url=server.base_url, meter_provider=meters, tracer_provider=tracers, pool_metrics=True
        ) as airplane,
        Airplane(
            server.api_key,
            base_url=lost_url,
            meter_provider=meters,
            tracer_provider=tracers,
            retry=RetryPolicy(max_attempts=3, initial_delay=0),
        ) as lost,
    ):
        yield Traffic(airplane, lost)
