"""The commands together."""

from __future__ import annotations

from typing import NoReturn

import click

from .. import __version__
from .backup import backup, release, restore
from .doctor import doctor
from .generate import generate
from .group import CommandGroup
from .logs import logs
from .prompts import prompts
from .runbooks import execute, list_runbooks
from .runs import list_runs
from .serving import serve
from .sessions import cancel, delete, list_sessions, watch

NAME = "airplane-runbooks"


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=NAME)
def commands() -> None:
    """Execute runbooks, follow their sessions, answer their prompts, and serve runbooks of your own.

    The key is read from AIRPLANE_API_KEY or from --api-key-file, the server from AIRPLANE_API_HOST or --base-url, and
    the environment of sessions from AIRPLANE_ENV_SLUG or --env.

    Exit statuses: 0 success; 1 the session has failed; 2 a wrong option or value; 3 the server cannot be reached, does
    not accept the key, or has failed; 4 the session was cancelled; 5 it has not ended in time; 6 the server or
    the database refused; 130 Ctrl-C.
    """


for _command in (
    *(execute, list_runbooks, watch, list_sessions, list_runs, logs, cancel, delete, prompts),
    *(serve, doctor, generate, backup, restore, release),
):
    commands.add_command(_command)


def run() -> NoReturn:
    """Run the command that the arguments of this process name, and exit with its status."""
    commands.main(prog_name=NAME)
