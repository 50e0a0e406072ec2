"""Options that every command with a server has, and the client that they make."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TextIO

import click

from .. import Airplane, Secret

P = ParamSpec("P")


def connected(function: Callable[Concatenate[Airplane, P], None]) -> Callable[..., None]:
    """Give a command the options of the connection, and the client that they make as its first argument."""

    @click.option("--base-url", metavar="URL", help="URL of the API, `/v0` included.  [env: AIRPLANE_API_HOST]")
    @click.option("--env", metavar="SLUG", help="Environment.  [env: AIRPLANE_ENV_SLUG]")
    @click.option(
        "--api-key-file",
        type=click.File(),
        metavar="FILE",
        help="File that holds the API key, - for standard input.  [env: AIRPLANE_API_KEY, the key itself]",
    )
    @click.option("--allow-insecure-http", is_flag=True, help="Allow plain http to other machines.")
    @functools.wraps(function)
    def command(
        *arguments: Any,
        base_url: str | None,
        env: str | None,
        api_key_file: TextIO | None,
        allow_insecure_http: bool,
        **options: Any,
    ) -> None:
        key = None if api_key_file is None else Secret(api_key_file.read().strip()).reveal
        with Airplane(key, base_url=base_url, env_slug=env, allow_insecure_http=allow_insecure_http) as airplane:
            function(airplane, *arguments, **options)

    return command
