"""From JSON to Python, as a parameter schema prescribes it: the client's reading, with the server's refusals."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from ...models import Parameter, ParameterType
from ...schema.scalars import Misfit
from ...schema.validation import MissingParameter, Reader, UnknownParameter
from ..errors import Invalid
from .spelling import unspelled

_CODES: dict[type[Misfit], str] = {
    UnknownParameter: "unknown_parameter",
    MissingParameter: "missing_parameter",
}


def read_all(parameters: Iterable[Parameter], values: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return the Python value of every parameter, defaults put in; None stands for an optional one without a value.

    Raises Invalid, naming the path below `root` and showing nothing of the value, for a required value that is
    missing or null, a wrong type, a broken constraint, and a slug that no parameter has.
    """
    with _refusing(root):
        return Reader(strict=True).read_members(parameters, values)


def read(parameter: Parameter, value: Any, path: str) -> Any:
    """Return the Python value of one JSON value. Raises Invalid, naming the path."""
    with _refusing(path):
        return Reader(strict=True).read(parameter, value)


def typed(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with numbers and flags in place of the strings that spell them, in lists, too.

    What no parameter describes as a scalar is left alone, as is a string that spells nothing: `read_all` refuses it.
    """
    known = {parameter.slug: parameter for parameter in parameters}
    return {slug: _typed(known[slug], value) if slug in known else value for slug, value in values.items()}


def _typed(parameter: Parameter, value: Any) -> Any:
    if not parameter.multi:
        return _typed_one(parameter, value)
    return [_typed_one(parameter, item) for item in value] if isinstance(value, list) else value


def _typed_one(parameter: Parameter, value: Any) -> Any:
    if isinstance(value, str):
        return unspelled(parameter.type, value)
    element = parameter.values if parameter.type == ParameterType.LIST else None
    return [_typed(element, item) for item in value] if element is not None and isinstance(value, list) else value


def fill(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they were sent, with the default in place of whatever is missing or null."""
    defaults = {parameter.slug: parameter.default for parameter in parameters if parameter.default is not None}
    return {**defaults, **{slug: value for slug, value in values.items() if value is not None or slug not in defaults}}


@contextmanager
def _refusing(path: str) -> Generator[None]:
    try:
        yield
    except Misfit as problem:
        steps = "".join(step[:100] for step in reversed(problem.trail))  # a key may be as long as the body
        raise Invalid(_CODES.get(type(problem), "invalid_parameter"), f"{path}{steps}: {problem}") from None
    except RecursionError:
        raise Invalid("invalid_parameter", f"{path}: nested too deeply") from None
