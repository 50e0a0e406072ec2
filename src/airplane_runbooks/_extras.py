"""Errors that name the extra to install if a module is missing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def needs_extra(extra: str, subject: str) -> Generator[None]:
    """Import the modules of an extra in a `with` statement. Raises ModuleNotFoundError that says which to install."""
    try:
        yield
    except ModuleNotFoundError as missing:
        message = f"{subject} needs the extra `{extra}`: pip install 'airplane-runbooks[{extra}]'"
        raise ModuleNotFoundError(message, name=missing.name) from None
