# ruff: noqa: INP001 - docs is not a package
"""Writes docs/reference/errors.md from the errors themselves: `python -m docs.errors_reference`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path
from typing import Any

from airplane_runbooks import errors
from airplane_runbooks.schema.problems import ValueProblem
from airplane_runbooks.server import errors as server_errors
from airplane_runbooks.server.storage.errors import DatabaseUnavailable

PAGE = Path(__file__).parent / "reference" / "errors.md"
SERVER = Path(server_errors.__file__).parent
PACKAGE_OF_TESTS = "conformance"
KINDS = ("environment", "prompt", "run", "runbook", "session", "task")  # of which one may not exist
PROBLEMS = {  # what stands behind the path of a value
    "invalid_parameter": "the value does not fit the schema; the text says why",
    "missing_parameter": "a required value was not given",
    "unknown_parameter": "there is no such parameter",
}
HEAD = """\
# Errors

Every error of the client and every code of the server. `python -m docs.errors_reference` writes this page.
[Troubleshooting](../operate/troubleshooting.md) has their texts, with causes and what to do.

## The client

All of them are in `airplane_runbooks`, and derive from `AirplaneError`. [The reference](api/client.md) has their
attributes.

| class | base | raised when |
| --- | --- | --- |
"""
CODES = """
## The server

An error is `{"error": "...", "code": "..."}` with the status. A *retryable* one may succeed if it is repeated; its
header `X-Airplane-Retryable` says `true`. The client has the code as `error.code`.

| code | status | retryable | text |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the text of the page."""
    return HEAD + "".join(map(row, client_errors())) + CODES + "".join(sorted(set(codes())))


def client_errors(base: type[Exception] = errors.AirplaneError) -> Iterator[type[Exception]]:
    """Yield an error and all that derive from it, each one after its base."""
    yield base
    for derived in base.__subclasses__():
        if derived.__module__ == errors.__name__:
            yield from client_errors(derived)


def row(error: type[Exception]) -> str:
    """Return the row of an error of the client."""
    bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
    return f"| `{error.__name__}` | {bases} | {(getdoc(error) or '').splitlines()[0]} |\n"


def codes() -> Iterator[str]:
    """Yield a row for each code that the server's source gives to an error."""
    known = {"DatabaseUnavailable": DatabaseUnavailable}
    known |= {name: thing for name, thing in vars(server_errors).items() if isinstance(thing, type)}
    for path in sorted(SERVER.rglob("*.py")):
        if PACKAGE_OF_TESTS in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) >= 2:
                error, (code, text) = known.get(node.func.id), node.args[:2]
                if error is not None and isinstance(code, ast.Constant | ast.JoinedStr):
                    for one in KINDS if isinstance(code, ast.JoinedStr) else ("",):
                        yield code_row(shown(code, one), error, shown(text, one))
    for problem in (ValueProblem, *ValueProblem.__subclasses__()):
        text = f"…: {PROBLEMS[problem.code]}"
        yield code_row(problem.code, server_errors.Invalid, text)


def code_row(code: str, error: Any, text: str) -> str:
    """Return the row of a code."""
    return f"| `{code}` | {error.status} | {'yes' if error.retryable else ''} | {text} |\n"


def shown(text: ast.expr, kind: str = "") -> str:
    """Return a text as it stands in the source, with an ellipsis for each value in it but the kind."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        return "".join(shown(part, kind) for part in text.values)
    is_kind = isinstance(text, ast.FormattedValue) and ast.unparse(text.value) == "kind"
    return kind if kind and is_kind else "…"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
