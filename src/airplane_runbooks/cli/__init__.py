"""The command line `airplane-runbooks` (extra `cli`): executes runbooks, follows their sessions, answers prompts."""

from __future__ import annotations

import sys
from typing import NoReturn

from .._extras import needs_extra


def main() -> NoReturn:
    """Run the command that the arguments of this process name, and exit with its status."""
    try:
        with needs_extra("cli", "the command line"):
            from .app import run
    except ModuleNotFoundError as missing:
        sys.stderr.write(f"{missing}\n")
        raise SystemExit(2) from None
    run()
