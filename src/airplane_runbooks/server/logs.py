"""Descriptions of exceptions, however they are made: nothing here raises."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import cast

LONGEST_MESSAGE = 10_000  # characters
_LONGEST_NAME = 200
_REPLACED = ("coroutine raised StopIteration",)


def class_name(kind: type) -> str:
    """Return a class's name, though its metaclass may have other ideas of it."""
    return _readable(type.__dict__["__name__"].__get__(kind))[:_LONGEST_NAME]


def kind_of(problem: BaseException) -> str:
    """Return the name of an exception's class."""
    return class_name(type(original(problem)))


def message_of(problem: BaseException, mask: Callable[[str], str] = str) -> str:
    """Return what an exception says, at most 10,000 characters of it.

    One without a message is known by its class, and one that cannot say anything by what it raised instead. `mask`
    hides what must not be seen, before anything is cut off.
    """
    problem = original(problem)
    try:
        said = mask(_readable(str(problem)))
    except BaseException as other:  # noqa: BLE001 - SystemExit, too: it was only asked for a text
        return f"(no message: asked for it, the exception raised {class_name(type(other))})"
    if len(said) > LONGEST_MESSAGE:
        return f"{said[:LONGEST_MESSAGE]}... ({len(said)} characters)"
    return said or class_name(type(problem))


def original(problem: BaseException) -> BaseException:
    """Return what was raised, for Python puts a RuntimeError in place of a StopIteration that leaves a coroutine."""
    cause = problem.__cause__ if type(problem) is RuntimeError else None
    if cause is not None and issubclass(type(cause), StopIteration) and problem.args == _REPLACED:
        return cause
    return problem


def describe(problem: BaseException) -> str:
    """Say what was raised and where, without the message: it may hold parameter values."""
    frame = cast("TracebackType | None", BaseException.__dict__["__traceback__"].__get__(problem))
    where = ""
    while frame is not None:
        where = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return f"{kind_of(problem)}{where}"


def _readable(text: str) -> str:
    """Return a plain text in which each lone surrogate is a question mark."""
    return str.__str__(text).encode(errors="replace").decode()
