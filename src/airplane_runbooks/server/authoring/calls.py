"""The call of a step: its function, the arguments by name, and the step's own name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from ..execution.timeouts import HasTimeout, checked
from ..logs import class_name
from ..storage.encoding import text

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Call:
    """One call of a function. Raises TypeError and ValueError for what makes no step.

    Attributes:
        name: What the step is known by: the name given, else the function's.
        task_id: ID of the task that is called, if it is one.
        arguments: The arguments by the names of the function's parameters, those without a name by their position.
        volatile: Names of those that may differ from one replay to the next.
        timeout: Seconds for each attempt: those given, else the task's.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        name: str | None,
        volatile: Collection[str],
        timeout: float | None,
        retries: int,
    ) -> None:
        while isinstance(function, partial):
            args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
            function = function.func
        if not callable(function):
            raise TypeError(f"a step calls a function, not an object of type {class_name(type(function))}")
        parameters = _parameters(function)
        self.name = _name(function, name)
        self.task_id = _attribute(function, "id")
        self.arguments = _by_name(parameters, args, kwargs)
        for argument in self.arguments:
            text(argument, f"the name of an argument of step {self.name!r}")
        given = {"name": (name, None), "volatile": (volatile, ()), "timeout": (timeout, None), "retries": (retries, 0)}
        _refuse_ambiguous(self.name, parameters, self.arguments, given)
        if not isinstance(retries, int) or retries < 0:
            raise TypeError("retries= is a number of further attempts, 0 or more")
        self.timeout = checked(function.timeout if timeout is None and isinstance(function, HasTimeout) else timeout)
        self.volatile = _checked_volatile(self.name, parameters, self.arguments, volatile)


def _name(function: Callable[..., Any], name: str | None) -> str:
    if name is not None:
        name = text(name, "the name of a step")
    known_as = name or _attribute(function, "slug") or _attribute(function, "__name__")
    if known_as is None:
        raise TypeError(f"this step needs a name=, for a {class_name(type(function))} has none")
    return text(known_as, "the name of a step")


def _attribute(function: object, name: str) -> str | None:
    try:
        value = getattr(function, name, None)
    except Exception:  # noqa: BLE001 - an object may raise what it likes, and its name is only a convenience
        return None
    return str.__str__(value) if isinstance(value, str) and value else None


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except Exception:  # noqa: BLE001 - some of Python's own functions have none, and objects raise what they like
        return {}


def _by_name(
    parameters: Mapping[str, inspect.Parameter], args: Iterable[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        bound = inspect.Signature(list(parameters.values())).bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {**{str(index): value for index, value in enumerate(args)}, **kwargs}
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD and name in bound:
            more = bound.pop(name)
            bound |= {f"**{key}" if key in bound else key: value for key, value in more.items()}
    return dict(bound)


def _refuse_ambiguous(
    step: str,
    parameters: Mapping[str, inspect.Parameter],
    arguments: Mapping[str, Any],
    given: Mapping[str, tuple[Any, Any]],
) -> None:
    """Refuse what the step takes for itself, and its function may have been meant to get."""
    for option, (value, default) in given.items():
        parameter = parameters.get(option)
        if parameter is None or parameter.kind in _VARIADIC or option in arguments:
            continue
        if value != default or parameter.default is parameter.empty:
            raise TypeError(
                f"step {step!r} calls a function with a parameter {option!r} of its own, and {option}= is for the "
                f"step itself: pass the function's by position, or as functools.partial(function, {option}=...)"
            )


def _checked_volatile(
    step: str, parameters: Mapping[str, inspect.Parameter], arguments: Mapping[str, Any], volatile: Collection[str]
) -> frozenset[str]:
    if (
        isinstance(volatile, str)
        or not isinstance(volatile, Collection)
        or not all(isinstance(name, str) for name in volatile)
    ):
        raise TypeError('volatile takes the names of arguments, as in volatile=("at",)')
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = sorted(set(volatile) - parameters.keys() - arguments.keys())
    if unknown and not takes_any:
        known = ", ".join(parameters) or "no arguments by name"
        raise TypeError(f"volatile names {unknown[0]!r}, but step {step!r} calls a function that takes {known}")
    return frozenset(volatile)
