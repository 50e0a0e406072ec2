"""Commands `backup`, `restore` and `release`: copies of a server's database, and what is held after one is restored."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import Airplane, AirplaneError
from .arguments import name
from .connection import connected
from .exits import Exit
from .output import json_option, notes, write_json
from .settings import refuse_password

if TYPE_CHECKING:
    from ..server.storage.backups import Backup, Marked

_file = click.Path(path_type=Path)
_database = click.option(
    "--database",
    envvar="AIRPLANE_DATABASE",
    show_envvar=True,
    default="sqlite:///runbooks.db",
    show_default=True,
    metavar="URL",
    help="URL of the server's database.",
    callback=refuse_password,
)


@click.command()
@click.argument("file", type=_file)
@_database
@json_option
def backup(file: Path, *, database: str, as_json: bool) -> None:
    """Write a backup of an SQLite database to FILE, while a server uses it or not.

    The key to secret values is not part of it.
    """
    with _refusing():
        from ..server.secrets.key_file import key_path
        from ..server.storage.backups import back_up, file_of

        source = file_of(database)
        _write(back_up(source, file.absolute()), as_json=as_json)
    if (variable := _key_variable()) is not None:
        _note(f"Its secret values need the key that is in {variable} now.")
    elif (key := key_path(source)).exists():
        _note(f"The key to its secret values is not part of it: keep a copy of {key} in another place.")


@click.command()
@click.argument("file", type=_file, required=False)
@_database
@click.option("--mark", is_flag=True, help="Mark the database, which other means have restored.")
@json_option
def restore(file: Path | None, *, database: str, mark: bool, as_json: bool) -> None:
    """Restore an SQLite database from the backup in FILE, or --mark a database that pg_restore has restored.

    No server may use the database, and --mark makes none. Unfinished sessions are held once a server has started, until
    `release` lets them go on.
    """
    if mark == (file is not None):
        raise click.UsageError("Name either a FILE or --mark.")
    with _refusing():
        from ..server.secrets.key_file import key_path
        from ..server.storage.backups import file_of, mark_restored
        from ..server.storage.backups import restore as restore_file

        if file is None:
            _write_marked(mark_restored(database), as_json=as_json)
            return
        target = file_of(database)
        _write(restore_file(file.absolute(), target), as_json=as_json)
    if _key_variable() is None and not (key := key_path(target)).exists():
        _note(f"There is no {key}. If there are secret values, put the original key there before a server starts.")


@click.command()
@click.argument("id", type=name, required=False)
@click.option("--all", "every", is_flag=True, help="Release all sessions and tasks.")
@connected
def release(airplane: Airplane, id: str | None, *, every: bool) -> None:
    """Let the session with this ID go on, or --all, that are held since the database was restored.

    Steps that were executed after the backup are executed again. This takes the server's own key.
    """
    if every == (id is not None):
        raise click.UsageError("Name either an ID or --all.")
    if id is not None:
        airplane.sessions.release(id)
        return
    click.echo(_release_all(airplane))


def _release_all(airplane: Airplane) -> int:
    count = 0
    try:
        while released := airplane.sessions.release_all():
            count += released
    except (AirplaneError, KeyboardInterrupt):
        _note(f"Released before this: {count}.")
        raise
    return count


@contextmanager
def _refusing() -> Generator[None]:
    """Exit with a status and a line for errors of the database."""
    try:
        from ..server.storage.errors import DatabaseError
    except ModuleNotFoundError as missing:
        raise click.UsageError(str(missing)) from None
    try:
        yield
    except DatabaseError as problem:
        click.echo(f"Error: {problem}", err=True)
        raise click.exceptions.Exit(Exit.REFUSED) from None


def _write(written: Backup, *, as_json: bool) -> None:
    if as_json:
        counts = {"sessions": written.sessions, "unfinished": written.unfinished}
        write_json({"path": str(written.path), "version": written.version, **counts})
    else:
        click.echo(
            f"{written.path}: {written.sessions} session(s), {written.unfinished} unfinished session(s) or task(s)"
        )


def _write_marked(marked: Marked, *, as_json: bool) -> None:
    if as_json:
        write_json(marked)
    else:
        click.echo(
            f"{marked.database}: {marked.sessions} session(s); {marked.unfinished} unfinished session(s) or task(s)"
            " will be held at the next start"
        )


def _key_variable() -> str | None:
    """Return the environment variable with the key to secret values, or with the path of its file; None without one."""
    from ..server.secrets.vault import KEY_VARIABLE

    return next((name for name in (KEY_VARIABLE, f"{KEY_VARIABLE}_FILE") if os.environ.get(name)), None)


def _note(text: str) -> None:
    notes().print(text, soft_wrap=True)
