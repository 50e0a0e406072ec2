"""Command `generate`: a module of typed calls from the runbooks of a server."""

from __future__ import annotations

from pathlib import Path

import click

from .. import Airplane
from .connection import connected
from .exits import Exit
from .generating import module_of
from .output import notes


@click.command()
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="File to write; stdout by default."
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the file is not up to date.")
@connected
def generate(airplane: Airplane, *, output: Path | None, check: bool) -> None:
    """Write a Python module with a typed call for each runbook.

    It depends on the runbooks alone, and is clean under mypy --strict and pyright.
    """
    if check and output is None:
        raise click.UsageError("--check needs --output.")
    text = module_of(airplane.runbooks.list())
    if output is None:
        click.echo(text, nl=False)
    elif not check:
        _write(output, text)
    elif _read(output) != text:
        notes().print(f"{output} is not up to date: airplane-runbooks generate --output {output}", soft_wrap=True)
        raise click.exceptions.Exit(Exit.FAILED)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise click.UsageError(f"cannot write {path}: {problem.strerror}") from None


def _read(path: Path) -> str | None:
    """Return what a file holds; None if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise click.UsageError(f"cannot read {path}: {problem.strerror}") from None
    except UnicodeError:
        raise click.UsageError(f"cannot read {path}: it is not a text file") from None
