"""Completion of names that the server knows, by the shell. Silent where the server does not answer at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from .. import Airplane, AirplaneError, RetryPolicy, Runbook
from .connection import read_key

_PATIENCE = 2.0  # seconds: a person sits before a line that does not move


def complete_slug(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the slugs that begin with a text."""
    return _items([(runbook.slug, runbook.description) for runbook in _runbooks(ctx.params)], incomplete)


def complete_parameter(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the parameters of the runbook on the line, each with the sign before its value."""
    # An option without its value keeps click from taking the arguments before it for parameters.
    slug = ctx.params.get("slug") or next(iter(ctx.args), None)
    chosen = [runbook for runbook in _runbooks(ctx.params) if runbook.slug == slug]
    found = [(f"{one.slug}=", one.desc) for runbook in chosen for one in runbook.parameters.parameters]
    return _items(found, incomplete)


def _items(found: Sequence[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    # Shells read one line for each name and, some of them, its help.
    return [
        CompletionItem(name, help=" ".join(text.split())[:80])
        for name, text in found
        if name.startswith(incomplete) and name.isprintable()
    ]


def _runbooks(options: dict[str, Any]) -> Sequence[Runbook]:
    """Return the runbooks of the server that the line names so far; none without an answer."""
    try:
        with Airplane(
            _key(options.get("api_key_file")),
            base_url=options.get("base_url"),
            allow_insecure_http=bool(options.get("allow_insecure_http")),
            timeout=_PATIENCE,
            retry=RetryPolicy(max_attempts=1),
        ) as airplane:
            return airplane.runbooks.list()
    except (AirplaneError, OSError, ValueError):
        return ()


def _key(path: Any) -> Any:
    """Return the key in a file; None leaves it to the environment, as does standard input, which the shell needs."""
    return read_key(path) if isinstance(path, str) and Path(path).is_file() else None
