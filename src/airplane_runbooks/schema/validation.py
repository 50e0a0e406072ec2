"""From JSON to Python, as a parameter schema prescribes it. Pure: no I/O, no state beyond one set of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from ..errors import ParamValueError
from .encoding import (
    ConfigVar,
    Refusal,
    Upload,
    member,
    to_json,
)
from .enums import ParameterType
from .parameters import ParameterLike
from .regex.matcher import Matcher
from .scalars import (
    TYPED,
    Misfit,
    array,
    object_,
    read_scalar,
)

_Choices: TypeAlias = frozenset[tuple[type, Any]]

_canonical = msgspec.json.Encoder(order="deterministic").encode


class UnknownParameter(Misfit):
    """A value for a parameter that the schema does not have."""


class MissingParameter(Misfit):
    """No value where one is required."""


def validate(parameters: Iterable[ParameterLike], values: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return the Python value of every parameter. Raises ParamValueError, with the path below `root`."""
    try:
        return Reader().read_members(parameters, to_json(values))
    except Refusal as problem:
        raise problem.below(root) from None
    except RecursionError:
        raise ParamValueError(root, "is nested too deeply") from None


class Reader:
    """Reads the JSON values of one call. Raises Misfit.

    What only a server can decide passes, unless `strict`: then a regex that cannot be decided refuses the value.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._matcher = Matcher()
        self._choices: dict[int, _Choices | None] = {}  # by the parameter's identity: a list asks for each element

    def read_members(
        self, parameters: Iterable[ParameterLike], values: Mapping[str, Any], *, allow_unknown: bool = False
    ) -> dict[str, Any]:
        """Return a value for every parameter, defaults put in; None stands for an optional one without a value."""
        known = {parameter.slug: parameter for parameter in parameters}
        unknown = {slug: value for slug, value in values.items() if slug not in known}
        if unknown and not allow_unknown:
            problem = UnknownParameter("there is no such parameter")
            problem.trail.append(member(next(iter(unknown))))
            raise problem
        read = {slug: _located(member(slug), self._given, parameter, values) for slug, parameter in known.items()}
        return {**read, **unknown}

    def read(self, parameter: ParameterLike, value: Any) -> Any:
        """Return the Python value of one JSON value."""
        if not parameter.multi:
            return self._read_one(parameter, value)
        return [_located(f"[{n}]", self._read_one, parameter, item) for n, item in enumerate(array(value))]

    def _given(self, parameter: ParameterLike, values: Mapping[str, Any]) -> Any:
        value = values.get(parameter.slug)
        if value is None:
            value = parameter.default
        if value is not None:
            return self.read(parameter, value)
        if parameter.constraints.optional:
            return None
        null_is_a_value = parameter.type not in TYPED and not parameter.multi and parameter.slug in values
        if not null_is_a_value:
            raise MissingParameter("a value is required")
        return self.read(parameter, None)

    def _read_one(self, parameter: ParameterLike, value: Any) -> Any:
        if parameter.type == ParameterType.LIST:
            return [_located(f"[{n}]", self._element, parameter.values, item) for n, item in enumerate(array(value))]
        if parameter.type == ParameterType.MAP:
            members = object_(value).items()
            return {key: _located(member(key), self._element, parameter.values, item) for key, item in members}
        if parameter.type == ParameterType.OBJECT:
            # one that lists no members says nothing of them
            allow_unknown = parameter.constraints.allow_unknown_keys or not parameter.members
            return self.read_members(parameter.members, object_(value), allow_unknown=allow_unknown)
        return self._constrained(parameter, read_scalar(parameter.type, value))

    def _element(self, parameter: ParameterLike | None, value: Any) -> Any:
        if parameter is None or (value is None and parameter.constraints.optional):
            return value
        return self.read(parameter, value)

    def _constrained(self, parameter: ParameterLike, value: Any) -> Any:
        choices = self._choices_of(parameter)
        if choices is not None and _choice(value) not in choices:
            raise Misfit("the value is not among the options")
        regex, text = parameter.constraints.regex, value.name if isinstance(value, ConfigVar) else value
        if regex and isinstance(text, str):
            matches = self._matcher.full_match(regex, text)
            if matches is None and self._strict:
                raise Misfit("the value takes too much work to match")
            if matches is False:
                raise Misfit("the value does not match" + (" the regex" if parameter.secret else f" {regex}"))
        return value

    def _choices_of(self, parameter: ParameterLike) -> _Choices | None:
        """Return the values allowed, or None if they are not limited, or not so that it can be known here."""
        options = parameter.constraints.options
        if not isinstance(options, list | tuple) or not options:
            return None
        if id(parameter) not in self._choices:
            self._choices[id(parameter)] = _choices(parameter.type, options)
        return self._choices[id(parameter)]


def _choices(kind: ParameterType, options: Sequence[Any]) -> _Choices | None:
    try:
        values = [option["value"] if isinstance(option, dict) else option for option in options]
        return frozenset(_choice(read_scalar(kind, value)) for value in values)
    except (KeyError, Misfit):  # a template, say
        return None


def _choice(value: Any) -> tuple[type, Any]:
    """Return what tells a value from all others, 1 from 1.0 and true included."""
    if isinstance(value, dict | list):
        value = _canonical(value)
    elif isinstance(value, Upload):
        value = value.id  # wherever it may be read
    return type(value), value


def _located(step: str, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except Misfit as problem:
        problem.trail.append(step)
        raise
