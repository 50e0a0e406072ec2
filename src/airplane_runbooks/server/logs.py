"""What may be logged of an exception."""

from __future__ import annotations

import traceback


def class_name(kind: type) -> str:
    """Return a class's name, though its metaclass may have other ideas of it."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return name


def describe(problem: BaseException) -> str:
    """Say what was raised and where, without the message: it may hold parameter values."""
    frames = traceback.extract_tb(problem.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(problem).__name__}{where}"
