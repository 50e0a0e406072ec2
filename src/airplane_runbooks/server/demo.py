"""A refund, from the call to the last output: `python -m airplane_runbooks.server.demo`.

Starts a server with one runbook, executes it through the client, follows the session step by step, answers its prompt
(you do, at a terminal or with `--interactive`), and prints the trace of every call if the OpenTelemetry SDK is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from .. import Airplane
from ..models import Parameter, ParameterType, Prompt, Run, Session, SessionStatus
from . import Context, RunbookServer, runbook
from .trace_tree import TraceTree

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 600.0

Answer = Callable[[Prompt], dict[str, Any]]


def find_invoice(customer: str) -> dict[str, Any]:
    """Look the customer's latest invoice up."""
    return {"id": "inv_1042", "customer": customer, "cents": 12900}


def check_fraud(invoice: dict[str, Any], limit_cents: int) -> dict[str, Any]:
    """Judge the risk of giving the money back."""
    return {"risk": "low" if invoice["cents"] <= limit_cents else "high", "limit_cents": limit_cents}


def issue_refund(invoice: dict[str, Any], note: str) -> dict[str, Any]:
    """Give the money back."""
    return {"refund": "rfd_77", "cents": invoice["cents"], "note": note}


def tell_customer(customer: str, text: str) -> str:
    """Send the customer a message."""
    return f"to {customer}: {text}"


@runbook
def refund(context: Context, customer: str, limit_cents: int = 50_000) -> str:
    """Refund a customer's latest invoice, if a human agrees."""
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


class Follower:
    """Follows one session through the client alone, and prints what is new at every look."""

    def __init__(self, airplane: Airplane, session_id: str, answer: Answer) -> None:
        self._airplane = airplane
        self._session_id = session_id
        self._answer = answer
        self._status: SessionStatus | None = None
        self._told: set[str] = set()

    def follow(self) -> Session:
        """Look until the session has ended. Raises TimeoutError if that takes more than ten minutes."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            session = self._airplane.sessions.get(self._session_id)
            if session.status is not self._status:
                self._status = session.status
                print(f"session  {session.id} is {session.status}")
            for run in self._runs(session):
                self._tell(run, "result" if run.task_id == session.runbook_id else "step")
            if session.status.is_terminal:
                return session
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"session {self._session_id} has not ended within {PATIENCE_SECONDS:.0f} seconds")

    def _runs(self, session: Session) -> list[Run]:
        """Return the session's runs, the oldest first, and last the one that holds the runbook's own result."""
        runs = [run for run in self._airplane.runs.list() if run.session_id == session.id]
        runs.reverse()  # they come the newest first
        return sorted(runs, key=lambda run: run.task_id == session.runbook_id)

    def _tell(self, run: Run, what: str) -> None:
        if run.id in self._told:
            return
        if run.status.is_terminal:
            self._told.add(run.id)
            output = self._airplane.runs.get_outputs(run.id).output
            print(f"{what:<8} {run.task_name or run.id}: {run.status}, output {output}")
            return
        for prompt in self._airplane.prompts.list(run.id):
            if prompt.is_open:
                print(f"prompt   {prompt.description}")
                values = self._answer(prompt)
                self._airplane.prompts.submit(prompt.id, values=values)
                print(f"answer   {values}")


def answer_by_itself(prompt: Prompt) -> dict[str, Any]:
    """Agree to everything."""
    samples = {ParameterType.BOOLEAN: True, ParameterType.STRING: "approved by the demo"}
    return {parameter.slug: samples[parameter.type] for parameter in prompt.schema.parameters}


def answer_by_hand(prompt: Prompt) -> dict[str, Any]:
    """Ask the person at the terminal for each field."""
    return {parameter.slug: _ask(parameter) for parameter in prompt.schema.parameters}


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
    answer = answer_by_hand if options.interactive else answer_by_itself

    traces = TraceTree()
    with (
        RunbookServer([refund]) as server,
        Airplane(server.api_key, base_url=server.base_url, tracer_provider=traces.provider) as airplane,
        traces.root("demo"),
    ):
        print(f"server   {server.base_url}")
        started = airplane.runbooks.execute(slug="refund", param_values={"customer": "ada@example.com"})
        session = Follower(airplane, started.session_id, answer).follow()
    print(f"\ntrace\n{traces.render()}")
    return 0 if session.status is SessionStatus.SUCCEEDED else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, EOFError):
        print("\ninterrupted: nothing is left running")
        sys.exit(130)
