"""The exit statuses of a command's errors."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .. import AirplaneError
from .exits import Exit, exit_of


class CommandGroup(click.Group):
    """A group that ends with a status for each kind of error, and with one line that says what is wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke a command. Raises Exit in place of errors."""
        try:
            return super().invoke(ctx)
        except AirplaneError as error:
            click.echo(f"Error: {error}", err=True)
            raise click.exceptions.Exit(exit_of(error)) from None
        except BrokenPipeError:
            # What is left in the buffer would be written, in vain, when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(Exit.BROKEN_PIPE) from None
        except (KeyboardInterrupt, EOFError, click.Abort):
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None
