"""Descriptions of exceptions of any class. The functions here never raise."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator
from itertools import islice
from types import TracebackType
from typing import cast

LONGEST_MESSAGE = 10_000  # characters
_LONGEST_NAME = 200
_MOST_EXCEPTIONS = 5
_FIRST_FRAMES, _LAST_FRAMES = 5, 20  # of each exception; an endless recursion has a thousand
_REPLACED = ("coroutine raised StopIteration",)
_PACKAGE = __name__.partition(".")[0]
_BETWEEN = {_PACKAGE, "asyncio", "concurrent", "threading"}  # packages whose frames lie between those of authors
_LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
_OF_AUTHORS = f"{__package__}.demo"  # the beginning of the names of our own modules that are written as theirs


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
    return _described(problem, list(_frames(problem))[-1:])


def describe_authors(problem: BaseException) -> str:
    """Describe the class and place of an exception that has left the code of a runbook, task or step, as `describe`.

    The place is the innermost one outside of this package and of libraries, as far as there is such a place. What this
    package has raised because of another exception, such as that of a step, is followed by the place of that one.
    """
    frames = list(_frames(problem))
    if not (own := _of_author(frames)):
        return describe(problem)
    cause = _cause(problem)
    if own[-1] is frames[-1] or cause is None or not (causing := _of_author(list(_frames(cause)))):
        return _described(problem, _written(own)[-1:])
    return f"{_described(problem, _written(own)[-1:])}, from {_described(cause, _written(causing)[-1:])}"


def trace(problem: BaseException) -> str:
    """Return the frames of an exception and of its causes, one a line, without those of this package.

    They have file, line and function. Messages, values and lines of code are left out: they may hold what is secret.
    """
    lines: list[str] = []
    for one in islice(_with_earlier(original(problem)), _MOST_EXCEPTIONS):
        if places := _of_author(list(_frames(one))):
            lines += [f"{'after ' if lines else ''}{kind_of(one)}", *_traced(places)]
    return "\n".join(lines)


def _traced(places: list[TracebackType]) -> list[str]:
    lines = [
        f"  {place.tb_frame.f_code.co_filename}:{place.tb_lineno} in {place.tb_frame.f_code.co_qualname}"
        for place in places
    ]
    if (left_out := len(lines) - _FIRST_FRAMES - _LAST_FRAMES) <= 0:
        return lines
    return [*lines[:_FIRST_FRAMES], f"  [{left_out} frames are left out here]", *lines[-_LAST_FRAMES:]]


def _with_earlier(problem: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, and those before it that Python would show with it. There may be no end of them."""
    while problem is not None:
        yield problem
        is_alone = BaseException.__dict__["__suppress_context__"].__get__(problem)
        context = None if is_alone else BaseException.__dict__["__context__"].__get__(problem)
        problem = _cause(problem) or context


def _cause(problem: BaseException) -> BaseException | None:
    return cast("BaseException | None", BaseException.__dict__["__cause__"].__get__(problem))


def _frames(problem: BaseException) -> Iterator[TracebackType]:
    """Yield the places of a traceback, the outermost first."""
    place = cast("TracebackType | None", BaseException.__dict__["__traceback__"].__get__(problem))
    while place is not None:
        yield place
        place = place.tb_next


def _of_author(places: list[TracebackType]) -> list[TracebackType]:
    return [place for place in places if _is_of_author(place.tb_frame.f_globals.get("__name__"))]


def _written(places: list[TracebackType]) -> list[TracebackType]:
    """Return the places that are not in a library; all of them if the author's code is installed as one."""
    return [place for place in places if not place.tb_frame.f_code.co_filename.startswith(_LIBRARIES)] or places


def _is_of_author(module: object) -> bool:
    if not isinstance(module, str):
        return True
    return module.startswith(_OF_AUTHORS) or module.partition(".")[0] not in _BETWEEN


def _described(problem: BaseException, places: list[TracebackType]) -> str:
    where = "".join(f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" for place in places)
    return f"{kind_of(problem)}{where}"


def _readable(text: str) -> str:
    """Return a plain text in which each lone surrogate is a question mark."""
    return str.__str__(text).encode(errors="replace").decode()
