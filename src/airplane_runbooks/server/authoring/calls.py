"""The call of a step, taken from the arguments of `context.step`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from ..logs import class_name
from ..storage.encoding import text
from .timeouts import HasTimeout, checked_timeout

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class StepCall:
    """One call of a function as a step. Raises TypeError and ValueError for arguments that do not make a step.

    Attributes:
        function: The function with its arguments, ready to be called.
        is_async: True if that call makes a coroutine.
        name: Name of the step: the one given, else the function's.
        task_id: ID of the task, if a task is called.
        arguments: The arguments by the names of the function's parameters; those without a name by their position.
        volatile: Names of the arguments that may differ on replay.
        timeout: Seconds for each attempt: those given, else the task's.
        retries: Number of further attempts after the first.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        name: str | None,
        retries: int,
        timeout: float | None,
        volatile: Collection[str],
    ) -> None:
        if not callable(function):
            raise TypeError(f"a step needs a function to call, not an object of type {class_name(type(function))}")
        self.function: Callable[[], Any] = partial(function, *args, **kwargs)
        self.is_async = _is_async(function)
        while isinstance(function, partial):
            args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
            function = function.func
        parameters = _parameters(function)
        self.name = _name(function, name)
        self.task_id = _text_attribute(function, "id")
        self.arguments = _by_name(parameters, args, kwargs)
        for argument in self.arguments:
            text(argument, f"the name of an argument of step {self.name!r}")
        given = {"name": (name, None), "volatile": (volatile, ()), "timeout": (timeout, None), "retries": (retries, 0)}
        _refuse_ambiguous(self.name, parameters, self.arguments, given)
        if not isinstance(retries, int) or retries < 0:
            raise TypeError("retries= must be an integer, 0 or more")
        self.retries = retries
        own_timeout = function.timeout if isinstance(function, HasTimeout) else None
        self.timeout = checked_timeout(own_timeout if timeout is None else timeout)
        self.volatile = _checked_volatile(self.name, parameters, self.arguments, volatile)


def _is_async(function: Callable[..., Any]) -> bool:
    try:
        return inspect.iscoroutinefunction(inspect.unwrap(function))
    except Exception:  # noqa: BLE001 - an object may raise anything when asked for its attributes
        return False


def _name(function: Callable[..., Any], name: str | None) -> str:
    if name is not None:
        name = text(name, "the name of a step")
    known_as = name or _text_attribute(function, "slug") or _text_attribute(function, "__name__")
    if known_as is None:
        raise TypeError(f"pass name= to this step: an object of type {class_name(type(function))} has no name")
    return text(known_as, "the name of a step")


def _text_attribute(function: object, name: str) -> str | None:
    try:
        value = getattr(function, name, None)
    except Exception:  # noqa: BLE001 - an object may raise anything, and its name is only a convenience
        return None
    return str.__str__(value) if isinstance(value, str) and value else None


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except Exception:  # noqa: BLE001 - some built-in functions have no signature, and objects may raise anything
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
    """Refuse an option of the step that may have been meant for a parameter of the function."""
    for option, (value, default) in given.items():
        parameter = parameters.get(option)
        if parameter is None or parameter.kind in _VARIADIC or option in arguments:
            continue
        if value != default or parameter.default is parameter.empty:
            raise TypeError(
                f"{option}= is an option of the step, but the function of step {step!r} has a parameter {option!r} "
                f"too: pass it by position, or as functools.partial(function, {option}=...)"
            )


def _checked_volatile(
    step: str, parameters: Mapping[str, inspect.Parameter], arguments: Mapping[str, Any], volatile: Collection[str]
) -> frozenset[str]:
    if (
        isinstance(volatile, str)
        or not isinstance(volatile, Collection)
        or not all(isinstance(name, str) for name in volatile)
    ):
        raise TypeError('volatile= must be a collection of argument names, such as volatile=("at",)')
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = sorted(set(volatile) - parameters.keys() - arguments.keys())
    if unknown and not takes_any:
        known = ", ".join(parameters) or "none"
        raise TypeError(
            f"volatile= names {unknown[0]!r}, which the function of step {step!r} does not take "
            f"(its parameters: {known})"
        )
    return frozenset(volatile)
