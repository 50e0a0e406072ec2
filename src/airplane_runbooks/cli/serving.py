"""Command `serve`: a server of the runbooks in a module."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from .loading import load
from .reloading import supervise
from .settings import SettingsCommand


@click.command(cls=SettingsCommand)
@click.argument("module", metavar="MODULE[:NAME]")
@click.option("--reload", is_flag=True, help="Start again when a file beside the module changes, for development.")
@click.option("--until-closed", type=int, hidden=True, help="File descriptor; the server stops once it is closed.")
def serve(module: str, *, reload: bool, until_closed: int | None, **given: str | IO[str] | None) -> None:
    """Serve the runbooks and tasks in MODULE, a module or a file, or those in its list NAME.

    Each setting is an option and an environment variable; options take precedence. Secrets are read from the variable
    or from a file. Lists have commas between their items, and durations are such as 30d, 12h, 45m or 10s.
    """
    if until_closed is not None:
        _stop_once_closed(until_closed)
        given["api_key"] = None  # the parent has read it, and has put the keys into the environment
    texts = {name: _text_of(name, value) for name, value in given.items() if value is not None}
    settings = _settings(texts)
    if reload and until_closed is None:
        _supervise(module, settings)
    else:
        _serve(module, settings)


def _text_of(name: str, value: str | IO[str]) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.read()
    except UnicodeError:
        _refuse(ValueError(f"--{name.replace('_', '-')}-file: {value.name} is not a text file"))


def _settings(texts: Mapping[str, str]) -> dict[str, Any]:
    from ..server.configuration import read_settings

    try:
        return read_settings(os.environ, texts)
    except ValueError as problem:
        _refuse(problem)


def _serve(module: str, settings: Mapping[str, Any]) -> None:
    from ..server import serve as serve_until_signal
    from ..server.secrets.vault import VaultError
    from ..server.storage.errors import DatabaseError

    runbooks, tasks = load(module)
    try:
        serve_until_signal(runbooks, tasks, **settings)
    except (ValueError, TypeError, OSError, VaultError, DatabaseError) as problem:
        _refuse(problem)


def _refuse(problem: Exception) -> NoReturn:
    raise click.UsageError(f"The server cannot start: {problem}") from None


def _supervise(module: str, settings: Mapping[str, Any]) -> None:
    """Run the same command in child processes. All of them have the same keys."""
    from ..server.service.identity import new_api_key
    from ..server.settings import Settings

    if os.name != "posix":
        raise click.UsageError("--reload needs a POSIX system.")
    keys = settings.get("api_key")
    if keys is None:
        keys = [new_api_key()]
        click.echo(f"Sign in with this key, new at each start unless AIRPLANE_API_KEY is set: {keys[0]}", err=True)
    file = Path(module.rpartition(":")[0] if ":" in module else module)
    folder = file.parent if file.suffix == ".py" else Path()
    command = [sys.executable, "-m", "airplane_runbooks", *sys.argv[1:2]]
    inherited = {name: text for name, text in os.environ.items() if name != "AIRPLANE_API_KEY_FILE"}
    environment = {**inherited, "AIRPLANE_API_KEY": "\n".join(keys)}
    supervise(command, sys.argv[2:], folder, environment, patience=settings.get("grace", Settings().grace))


def _stop_once_closed(descriptor: int) -> None:
    """Let this process end as by SIGTERM once its parent has closed the other end of a pipe, or has died."""
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword

    def wait() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
