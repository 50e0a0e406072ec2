from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from airplane_runbooks.cli.app import commands
from airplane_runbooks.server import Context, Field, Reviewers, RunbookServer, User, runbook, task

ADA = "tkn_ada_who_answers_for_others"

SHOWN = """## First\x1b[31m

Do **all** of `this`, <b>[now](https://example.com/\x9b)</b>:

1. look
2. pay
"""


def look_up(customer: str) -> str:
    return f"invoice of {customer}"


@runbook
def refund(context: Context, customer: str, cents: int = 100, day: date | None = None) -> dict[str, Any]:
    """Refund a customer.

    Only after a look at the invoice.
    """
    context.step(look_up, customer)
    return {"customer": customer, "cents": cents, "day": str(day)}


@runbook
def ask_first(context: Context) -> str:
    context.step(look_up, "ada")
    answer = context.prompt("Refund the \x1b[31minvoice?", approve=bool, note=str, copies=int | None)
    return f"{answer['approve']} {answer['note']}"


@runbook
def ask_another(context: Context) -> bool:
    reviewers = Reviewers(allow_self_approvals=False)
    return bool(context.prompt("Pay?", reviewers=reviewers, approve=bool)["approve"])


@runbook
def explain(context: Context, value: Any = None) -> str:
    context.show(SHOWN, name="The \x1b[31mplan")
    context.show([{"invoice": 1, "cents": 4200}, {"invoice": 2, "note": "a\tb"}], name="Invoices")
    context.show(value, name="Last")
    context.step(look_up, "ada")
    return "done"


@runbook
def ask_twice(context: Context) -> list[Any]:
    password = Annotated[str, Field(secret=True)]
    return [context.prompt(f"The {one} question", word=password)["word"] for one in ("1st", "2nd")]


@runbook(confirm="All rooms are \x1b[31mlocked.")
def lock_up(context: Context, rooms: int = 1) -> int:
    return rooms


@runbook
def open_safe(context: Context, code: Annotated[str, Field(secret=True)], door: str = "left") -> str:
    return f"{door} {len(code)}"


@runbook
def break_down(context: Context, words: list[str]) -> None:
    context.step(fail, words)


def fail(words: list[str]) -> None:
    raise RuntimeError(" ".join(words))


@task
def tidy(room: str) -> str:
    return room


@pytest.fixture(scope="module")
def server():
    runbooks = [refund, ask_first, ask_twice, ask_another, explain, lock_up, open_safe, break_down]
    with RunbookServer(runbooks, [tidy], users=[User("ada@example.com", ADA)]) as one:
        yield one


@pytest.fixture(scope="module")
def environment(server):
    origin = server.base_url.removesuffix("/v0")
    return {"AIRPLANE_API_KEY": server.api_key, "AIRPLANE_API_HOST": origin, "AIRPLANE_ENV_SLUG": "", "NO_COLOR": ""}


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @classmethod
    def of(cls, result: Result) -> Ended:
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return cls(result.exit_code, result.stdout, result.stderr)

    @property
    def documents(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def command(environment):
    """Return a function that runs the command line in this process, without a terminal."""

    def run(*arguments: str, stdin: str | None = None, **env: str | None) -> Ended:
        mixed = {"mix_stderr": False} if "mix_stderr" in CliRunner.__init__.__code__.co_varnames else {}  # click 8.1
        runner = CliRunner(env={**environment, **env}, **mixed)
        return Ended.of(runner.invoke(commands, arguments, input=stdin, prog_name="airplane-runbooks"))

    return run
