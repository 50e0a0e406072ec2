"""Values of arguments and options, and errors about them in the words of the command line."""

from __future__ import annotations

import re

import click

_OPTIONS = {
    "allow_insecure_http=True": "--allow-insecure-http",
    "base_url": "--base-url (or AIRPLANE_API_HOST)",
    "wait_timeout": "--wait-timeout",
}
_NAMES = re.compile("|".join(map(re.escape, _OPTIONS)))


def name(text: str) -> str:
    """Return an ID or a slug. Raises BadParameter if it is empty, as where a variable of the shell is not set."""
    if not text.strip():
        raise click.BadParameter("it is empty")
    return text


def name_options(message: str) -> str:
    """Return a message of the client with the options of commands in place of its own arguments."""
    return _NAMES.sub(lambda found: _OPTIONS[found[0]], message)
