"""Options that every command with a server has, and the client that they make."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import click
from click.core import ParameterSource

from .. import Airplane, ConfigurationError, Secret, Settings
from ..options import ApiKey
from .outages import Outages

P = ParamSpec("P")

_KEY = "AIRPLANE_API_KEY"


def connected(function: Callable[Concatenate[Airplane, P], None]) -> Callable[..., None]:
    """Give a command the options of the connection, and the client that they make as its first argument."""
    return _connected(function, needs_key=True)


def connected_without_key(function: Callable[Concatenate[Airplane, P], None]) -> Callable[..., None]:
    """Do as `connected` does, but without a key make a client whose key no server accepts."""
    return _connected(function, needs_key=False)


def has_key(api_key_file: str | None) -> bool:
    """Tell whether the options or the environment give a key."""
    return api_key_file is not None or Settings.from_env().api_key is not None


def _connected(function: Callable[Concatenate[Airplane, P], None], *, needs_key: bool) -> Callable[..., None]:
    @click.option("--base-url", metavar="URL", help="URL of the API, `/v0` included.  [env: AIRPLANE_API_HOST]")
    @click.option("--env", metavar="SLUG", help="Environment.  [env: AIRPLANE_ENV_SLUG]")
    @click.option(
        "--api-key-file",
        type=click.Path(allow_dash=True),
        metavar="FILE",
        envvar=f"{_KEY}_FILE",
        callback=_check_single,
        help=f"File that holds the API key, - for standard input.  [env: {_KEY}_FILE, or {_KEY}, the key itself]",
    )
    @click.option("--allow-insecure-http", is_flag=True, help="Allow plain http to other machines.")
    @functools.wraps(function)
    def command(
        *arguments: Any,
        base_url: str | None,
        env: str | None,
        api_key_file: str | None,
        allow_insecure_http: bool,
        **options: Any,
    ) -> None:
        with Airplane(
            _given_key(api_key_file, needs_key=needs_key),
            base_url=base_url,
            env_slug=env,
            allow_insecure_http=allow_insecure_http,
            middleware=[Outages()],
        ) as airplane:
            function(airplane, *arguments, **options)

    return command


def read_key(path: str) -> Callable[[], str]:
    """Return a function that returns the key in a file, - for standard input. Of several keys, the first one counts.

    Raises OSError, UnicodeError, and ValueError for a file without a key.
    """
    with click.open_file(path, encoding="utf-8") as file:
        keys = file.read().split()
    if not keys:
        raise ValueError("it is empty")
    return Secret(keys[0]).reveal


def _given_key(path: str | None, *, needs_key: bool) -> ApiKey | None:
    """Return the key in a file; None for the one in the environment. Raises ConfigurationError if a key is missing."""
    if path is not None:
        return _key(path)
    if has_key(path):
        return None
    if needs_key:
        raise ConfigurationError(
            "no API key: set AIRPLANE_API_KEY, or name a file that holds the key by --api-key-file"
        )
    return "none"


def _key(path: str) -> Callable[[], str]:
    try:
        return read_key(path)
    except OSError as problem:
        raise click.UsageError(f"cannot read the key in {path}: {problem.strerror}") from None
    except UnicodeError:
        raise click.UsageError(f"cannot read the key in {path}: it is not a text file") from None
    except ValueError as problem:
        raise click.UsageError(f"cannot read the key in {path}: {problem}") from None


def _check_single(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Return the path of a key. Raises UsageError if the environment gives a key and a file with one."""
    is_variable = context.get_parameter_source(option.name or "") is ParameterSource.ENVIRONMENT
    if path and is_variable and os.environ.get(_KEY):
        raise click.UsageError(f"{_KEY} and {_KEY}_FILE exclude each other.")
    return path or None
