"""A refund, from the call to the last output: `python -m airplane_runbooks.server.demo`.

Starts a server with one runbook and a small shop, executes it through the client, follows the session step by step,
answers its prompt (you do, at a terminal or with `--interactive`), and prints the trace of every call if the
OpenTelemetry SDK is there. `demo_async` does the same for two hundred sessions at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from .. import Airplane
from ..models import Parameter, ParameterSchema, ParameterType, Prompt, Session, SessionStatus
from . import Context, RunbookServer, runbook
from .demo_shop import shop
from .trace_tree import TraceTree

PATIENCE_SECONDS = 600.0


def find_invoice(customer: str) -> dict[str, Any]:
    """Look the customer's invoice up. Raises LookupError if there is nothing to refund."""
    query = "SELECT number, cents, note FROM invoices LEFT JOIN refunds ON invoice = number WHERE customer = ?"
    with shop() as connection:
        found = connection.execute(query, (customer,)).fetchone()
    if found is None:
        raise LookupError(f"{customer} has no invoice")
    number, cents, note = found
    if note is not None:
        raise LookupError(f"the invoice inv_{number} of {customer} was refunded before, with the note {note!r}")
    return {"id": f"inv_{number}", "customer": customer, "cents": cents}


def check_fraud(invoice: dict[str, Any], limit_cents: int) -> dict[str, Any]:
    """Judge the risk of giving the money back."""
    return {"risk": "low" if invoice["cents"] <= limit_cents else "high", "limit_cents": limit_cents}


def issue_refund(invoice: dict[str, Any], note: str) -> dict[str, Any]:
    """Give the money back: once, even if this step is executed again after a crash."""
    number = invoice["id"].removeprefix("inv_")
    with shop() as connection:
        connection.execute("INSERT INTO refunds VALUES (?, ?) ON CONFLICT DO NOTHING", (number, note))
    return {"refund": f"rfd_{number}", "cents": invoice["cents"], "note": note}


def tell_customer(customer: str, text: str) -> str:
    """Send the customer a message."""
    with shop() as connection:
        connection.execute("INSERT INTO messages VALUES (?, ?)", (customer, text))
    return f"to {customer}: {text}"


@runbook
def refund(context: Context, customer: str, limit_cents: int = 50_000) -> str:
    """Refund a customer's invoice, if a human agrees.

    Args:
        customer: E-mail address, such as ada@example.com.
        limit_cents: Amount above which the risk is high.
    """
    invoice = context.step(find_invoice, customer)
    risk = context.step(check_fraud, invoice, limit_cents)
    answer = context.prompt(
        f"Refund {invoice['cents'] / 100:.2f} EUR to {customer}? The risk is {risk['risk']}.",
        confirm_text="Decide",
        approve=bool,
        note=str,
    )
    if not answer["approve"]:
        return str(context.step(tell_customer, customer, "We cannot refund this invoice."))
    done = context.step(issue_refund, invoice, answer["note"])
    return str(context.step(tell_customer, customer, f"Your refund {done['refund']} is on its way."))


class Reporter:
    """Prints the news of a session at every poll."""

    def __init__(self, airplane: Airplane) -> None:
        self._airplane = airplane
        self._status: SessionStatus | None = None
        self._told: set[str] = set()

    def __call__(self, session: Session, elapsed: float) -> None:
        """Print the session's state if it has changed, and the steps that have ended."""
        if session.status is not self._status:
            self._status = session.status
            print(f"session  {session.id} is {session.status} after {elapsed:.1f} s")
        for step in self._airplane.sessions.steps(session.id):
            if step.status.is_terminal and step.run_id not in self._told:
                self._told.add(step.run_id)
                print(f"step     {step.name}: {step.status}, output {step.output}")


Answer = Callable[[ParameterSchema], dict[str, Any]]


def answer_by_itself(schema: ParameterSchema) -> dict[str, Any]:
    """Agree to everything."""
    samples = {ParameterType.BOOLEAN: True, ParameterType.STRING: "approved by the demo"}
    return {parameter.slug: samples[parameter.type] for parameter in schema.parameters}


def answer_by_hand(schema: ParameterSchema) -> dict[str, Any]:
    """Ask the person at the terminal for each field."""
    return {parameter.slug: _ask(parameter) for parameter in schema.parameters}


def _ask(parameter: Parameter) -> Any:
    if parameter.type is not ParameterType.BOOLEAN:
        return input(f"         {parameter.name}: ")
    while (text := input(f"         {parameter.name} (y/n): ").strip().lower()) not in ("y", "n", "yes", "no"):
        print("         please answer y or n")
    return text.startswith("y")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit status: 0 if the session succeeded."""
    parser = argparse.ArgumentParser(prog="python -m airplane_runbooks.server.demo", description=__doc__)
    parser.add_argument("--interactive", action=argparse.BooleanOptionalAction, default=sys.stdin.isatty())
    options = parser.parse_args(arguments)
    answer: Answer = answer_by_hand if options.interactive else answer_by_itself

    def on_prompt(prompt: Prompt, schema: ParameterSchema) -> dict[str, Any]:
        print(f"prompt   {prompt.description}")
        values = answer(schema)
        print(f"answer   {values}")
        return values

    traces = TraceTree()
    with (
        TemporaryDirectory() as folder,
        RunbookServer([refund], database=f"sqlite:///{folder}/runbooks.db", tracer_provider=traces.provider) as server,
        Airplane(server.api_key, base_url=server.base_url, tracer_provider=traces.provider) as airplane,
        traces.root("demo"),
    ):
        print(f"server   {server.base_url}, with its sessions in {folder}")
        session = airplane.runbooks.execute_and_wait(
            "refund",
            param_values={"customer": "ada@example.com"},
            wait_timeout=PATIENCE_SECONDS,
            on_progress=Reporter(airplane),
            on_prompt=on_prompt,
        )
        (result,) = [run for run in airplane.sessions.runs(session.id) if run.task_id == session.runbook_id]
        print(f"result   {airplane.runs.get_outputs(result.id).output}")
    print(f"\ntrace\n{traces.render()}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, EOFError):
        print("\ninterrupted: nothing is left running")
        sys.exit(130)
