"""Problems with parameter values: one family of exceptions, in which each knows the path to the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import ParamValueError


class ValueProblem(Exception):
    """A value does not fit its parameter. The message shows nothing of the value, which may be secret.

    Attributes:
        code: What a server tells machines about it.
        steps: Path to the value, innermost step first: each level adds its own on the way out.
    """

    code: ClassVar[str] = "invalid_parameter"

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.steps: list[str] = []

    def below(self, root: str) -> ParamValueError:
        """Return the public error, which names the whole path."""
        return ParamValueError(root + "".join(reversed(self.steps)), str(self))


class UnknownParameter(ValueProblem):
    """A value was given for a parameter that the schema does not have."""

    code = "unknown_parameter"


class MissingParameter(ValueProblem):
    """No value was given where one is required."""

    code = "missing_parameter"


class NotEncodable(ValueProblem, ValueError):
    """A value has no form in JSON."""


class UnreadableText(ValueProblem):
    """A text typed into a form does not stand for a value. The message tells people what to type instead."""


def member(name: str) -> str:
    """Write a key as a step of a path."""
    return f".{name}" if name.isidentifier() else f"[{name!r}]"


def located(step: str, read: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, and add a step to the path of the problem that it may raise."""
    try:
        return read(*arguments)
    except ValueProblem as problem:
        problem.steps.append(step)
        raise
