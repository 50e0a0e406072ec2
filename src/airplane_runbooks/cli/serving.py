"""Command `serve`: a server of the runbooks in a module."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

import click
import msgspec

from .loading import load
from .reloading import supervise

LIMITS: dict[str, tuple[type[int | float], str]] = {
    "max_head": (int, "Bytes of a request's line and headers."),
    "max_headers": (int, "Headers of a request."),
    "max_body": (int, "Bytes of a request's body."),
    "max_calls": (int, "Requests being answered at a time."),
    "max_connections": (int, "Open connections."),
    "max_waiting": (int, "Long polls that may wait at a time."),
    "body_timeout": (float, "Seconds until the whole body of a request must be there."),
    "head_timeout": (float, "Seconds until the headers of a request must be there."),
    "write_timeout": (float, "Seconds within which a client must take a reply."),
    "keep_alive": (int, "Seconds for which a connection may stay open without a request."),
}


def _setting(name: str, sentence: str, **attributes: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option of a setting, which is also an environment variable."""
    variable = "AIRPLANE_SERVE_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, help=sentence, **attributes)


def _limits(function: Callable[..., None]) -> Callable[..., None]:
    for name, (kind, sentence) in reversed(LIMITS.items()):
        function = _setting("--" + name.replace("_", "-"), sentence, type=kind)(function)
    return function


class _User(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    email: str
    api_key: str | list[str]
    groups: list[str] = []


@click.command()
@click.argument("module", metavar="MODULE[:NAME]")
@_setting("--host", "Address to listen on.", default="127.0.0.1", show_default=True)
@_setting("--port", "Port to listen on; 0 takes a free one.", type=int, default=8080, show_default=True)
@click.option(
    "--api-key-file",
    type=click.File(),
    metavar="FILE",
    help="File with the keys that clients may send, one a line.  [env: AIRPLANE_API_KEY, the key itself]",
)
@_setting("--database", "URL of the database.  [default: sqlite:///runbooks.db]", metavar="URL")
@_setting(
    "--users-file",
    'File of users: a JSON list of {"email": ..., "apiKey": ..., "groups": [...]}.',
    type=click.File(),
    metavar="FILE",
)
@_setting("--environment", "Slug of an environment to serve, the default first. Repeatable.", multiple=True)
@_setting("--workers", "Sessions and tasks that are executed at a time.", type=int)
@_setting("--grace", "Seconds that a stopping server waits for running steps.", type=float)
@_setting("--keep-ended", "Number of sessions that stay readable after their end.", type=int)
@_setting("--keep-days", "Days for which they stay readable at most.", type=float)
@_setting("--allowed-host", "Name that the Host header may have. Repeatable.", multiple=True)
@_setting("--public-url", "URL by which browsers reach the server.", metavar="URL")
@_setting("--trusted-proxy", "Address or network of a proxy. Repeatable.", multiple=True)
@_limits
@click.option("--reload", is_flag=True, help="Start again when a file beside the module changes, for development.")
@click.option("--until-closed", type=int, hidden=True, help="File descriptor; the server stops once it is closed.")
def serve(
    module: str,
    *,
    api_key_file: TextIO | None,
    users_file: TextIO | None,
    keep_days: float | None,
    reload: bool,
    until_closed: int | None,
    **settings: Any,
) -> None:
    """Serve the runbooks and tasks in MODULE, a module or a file, or those in its list NAME.

    Secret values are sealed by the key in AIRPLANE_ENCRYPTION_KEY, else by one in a file beside the database.
    """
    if until_closed is not None:
        _stop_once_closed(until_closed)
        api_key_file = None  # the parent has read it, and has put the keys into the environment
    keys = None if api_key_file is None else api_key_file.read().split()
    if reload and until_closed is None:
        _supervise(module, keys, settings["grace"])
        return
    limits = {name: value for name in LIMITS if (value := settings.pop(name)) is not None}
    given = {
        "environments": settings.pop("environment"),
        "allowed_hosts": settings.pop("allowed_host"),
        "trusted_proxies": settings.pop("trusted_proxy"),
        "keep_for": None if keep_days is None else timedelta(days=keep_days),
        **settings,
    }
    options = {name: value for name, value in given.items() if value is not None and value != ()}
    _serve(module, keys or _keys_of_parent(until_closed), limits, users_file, options)


def _serve(
    module: str, keys: list[str] | None, limits: dict[str, Any], users_file: TextIO | None, options: dict[str, Any]
) -> None:
    try:
        from ..server import Limits, User
        from ..server import serve as serve_until_signal
    except ModuleNotFoundError as missing:
        raise click.UsageError(str(missing)) from None
    runbooks, tasks = load(module)
    try:
        users = msgspec.json.decode(users_file.read() if users_file else "[]", type=list[_User])
        options["users"] = [User(one.email, one.api_key, one.groups) for one in users]
        serve_until_signal(runbooks, tasks, api_key=keys, limits=Limits(**limits), **options)
    except (msgspec.DecodeError, ValueError, TypeError, OSError) as problem:
        raise click.UsageError(f"The server cannot start: {problem}") from None


def _keys_of_parent(until_closed: int | None) -> list[str] | None:
    return None if until_closed is None else os.environ["AIRPLANE_API_KEY"].split()


def _supervise(module: str, keys: list[str] | None, grace: float | None) -> None:
    """Run the same command in child processes. All of them have the same keys."""
    if os.name != "posix":
        raise click.UsageError("--reload needs a POSIX system.")
    keys = keys or os.environ.get("AIRPLANE_API_KEY", "").split()
    if not keys:
        keys = [f"tkn_{secrets.token_hex(18)}"]
        click.echo(f"API key, new at each start unless AIRPLANE_API_KEY is set: {keys[0]}", err=True)
    file = Path(module.rpartition(":")[0] if ":" in module else module)
    folder = file.parent if file.suffix == ".py" else Path()
    command = [sys.executable, "-m", "airplane_runbooks", *sys.argv[1:2]]
    environment = {**os.environ, "AIRPLANE_API_KEY": " ".join(keys)}
    supervise(command, sys.argv[2:], folder, environment, patience=10.0 if grace is None else grace)


def _stop_once_closed(descriptor: int) -> None:
    """Let this process end as by SIGTERM once its parent has closed the other end of a pipe, or has died."""
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword

    def wait() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
