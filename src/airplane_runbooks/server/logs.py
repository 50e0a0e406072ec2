"""Descriptions of exceptions of any class. The functions here never raise."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import cast

LONGEST_MESSAGE = 10_000  # characters
_LONGEST_NAME = 200
_REPLACED = ("coroutine raised StopIteration",)


def class_name(kind: type) -> str:
    """Return a class's name, even if its metaclass overrides it."""
    return _readable(type.__dict__["__name__"].__get__(kind))[:_LONGEST_NAME]


def kind_of(problem: BaseException) -> str:
    """Return the name of an exception's class."""
    return class_name(type(original(problem)))


def message_of(problem: BaseException, mask: Callable[[str], str] = str) -> str:
    """Return the message of an exception, at most 10,000 characters of it.

    Without a message it returns the class, and if `str` raises, the class of what it raised. `mask`
    hides secrets before the text is cut.
    """
    problem = original(problem)
    try:
        said = mask(_readable(str(problem)))
    except BaseException as other:  # noqa: BLE001 - SystemExit too: the exception was only asked for its text
        return f"(no message: asked for it, the exception raised {class_name(type(other))})"
    return shorten(said) or class_name(type(problem))


def shorten(said: str) -> str:
    """Return a message, cut to 10,000 characters if it is longer."""
    return said if len(said) <= LONGEST_MESSAGE else f"{said[:LONGEST_MESSAGE]}... ({len(said)} characters)"


def original(problem: BaseException) -> BaseException:
    """Return the exception itself: Python replaces a StopIteration that leaves a coroutine by a RuntimeError."""
    cause = problem.__cause__ if type(problem) is RuntimeError else None
    if cause is not None and issubclass(type(cause), StopIteration) and problem.args == _REPLACED:
        return cause
    return problem


def describe(problem: BaseException) -> str:
    """Describe the class and place of an exception without its message, which may hold parameter values."""
    frame = cast("TracebackType | None", BaseException.__dict__["__traceback__"].__get__(problem))
    where = ""
    while frame is not None:
        where = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return f"{kind_of(problem)}{where}"


def _readable(text: str) -> str:
    """Return a plain text in which each lone surrogate is a question mark."""
    return str.__str__(text).encode(errors="replace").decode()
