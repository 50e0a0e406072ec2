"""Errors of the commands: their exit statuses, and options at the wrong place."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from .. import AirplaneError, ConfigurationError
from .arguments import name_options
from .exits import Exit, exit_of

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class CommandGroup(click.Group):
    """A group that ends with a status for each kind of error, and with one line that says what is wrong."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before a command. Raises UsageError that says where options of commands belong."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            if not any(name in option.opts for command in self.commands.values() for option in command.params):
                raise
            problem = f"{name} is an option of commands: write it after the command."
            raise click.UsageError(problem, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke a command. Raises Exit in place of errors."""
        try:
            return super().invoke(ctx)
        except AirplaneError as error:
            text = name_options(str(error)) if isinstance(error, ConfigurationError) else str(error)
            click.echo(f"Error: {text}", err=True)
            raise click.exceptions.Exit(exit_of(error)) from None
        except BrokenPipeError:
            _forget_output()
            raise click.exceptions.Exit(Exit.BROKEN_PIPE) from None
        except OSError as problem:
            if problem.errno not in _NO_ROOM or problem.filename is not None:
                raise
            _forget_output()
            click.echo(f"Error: cannot write the output: {problem.strerror}", err=True)
            raise click.exceptions.Exit(Exit.USAGE) from None
        except (KeyboardInterrupt, EOFError, click.Abort):
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None


def _forget_output() -> None:
    """Drop what is left in the buffer of stdout: it would be written, in vain, when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
