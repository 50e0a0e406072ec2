"""Reading of values as a parameter schema prescribes it: from JSON to Python. Pure: no I/O, no lasting state."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import ParamValueError
from .encoding import to_json
from .parameters import ParameterLike
from .problems import MissingParameter, UnknownParameter, ValueProblem, located, member
from .regex.matcher import Matcher
from .types import ValueType, type_of
from .types.base import array
from .types.containers import unquoted

_Choices: TypeAlias = frozenset[Hashable]


def validate(parameters: Iterable[ParameterLike], values: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return the Python value of every parameter. Raises ParamValueError, with the path below `root`."""
    try:
        return ValueReader().read_members(parameters, to_json(values))
    except ValueProblem as problem:
        raise problem.below(root) from None
    except RecursionError:
        raise ParamValueError(root, "is nested too deeply") from None


class CheckedValues:
    """Values that fit a schema. There is no other way to make one than to check them.

    The check is strict, as a server's must be: a regex that cannot be decided refuses the value. Raises ValueProblem.

    Attributes:
        parameters: The schema.
        json: The values as they were given, in JSON, with the default in place of each that is missing or null.
        python: A Python value for every parameter; None for an optional one without a value.
    """

    __slots__ = ("json", "parameters", "python")

    def __init__(self, parameters: Iterable[ParameterLike], values: Mapping[str, Any]) -> None:
        self.parameters = tuple(parameters)
        self.python: Mapping[str, Any] = ValueReader(strict=True).read_members(self.parameters, values)
        self.json: Mapping[str, Any] = _with_defaults(self.parameters, values)

    @classmethod
    def joined(cls, parts: Iterable[CheckedValues]) -> CheckedValues:
        """Return values that were checked one by one as values of one schema."""
        whole = cls((), {})
        for part in parts:
            whole.parameters += part.parameters
            whole.python = {**whole.python, **part.python}
            whole.json = {**whole.json, **part.json}
        return whole

    def fit(self, parameters: Iterable[ParameterLike]) -> bool:
        """Tell whether the values were checked against just these parameters."""
        return self.parameters == tuple(parameters)


def _with_defaults(parameters: Iterable[ParameterLike], values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {parameter.slug: parameter.default for parameter in parameters if parameter.default is not None}
    return {**defaults, **{slug: value for slug, value in values.items() if value is not None or slug not in defaults}}


def unquote(parameters: Iterable[ParameterLike], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with numbers and flags in place of the strings that spell them as JSON does, in lists, too.

    A value is left alone if its parameter is not a scalar, and a string if it spells nothing: it will not fit.
    """
    known = {parameter.slug: parameter for parameter in parameters}
    return {slug: unquoted(known[slug], value) if slug in known else value for slug, value in values.items()}


class ValueReader:
    """Reads the JSON values of one call. Raises ValueProblem.

    Values that only a server can decide about pass, unless `strict`: then a regex that cannot be decided refuses the
    value. Values that have been checked before need no `constraints`.
    """

    def __init__(self, *, strict: bool = False, constraints: bool = True) -> None:
        self._strict = strict
        self._constraints = constraints
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
            problem.steps.append(member(next(iter(unknown))))
            raise problem
        read = {slug: located(member(slug), self._given, parameter, values) for slug, parameter in known.items()}
        return {**read, **unknown}

    def read(self, parameter: ParameterLike, value: Any) -> Any:
        """Return the Python value of one JSON value."""
        if not parameter.multi:
            return self._read_one(parameter, value)
        return [located(f"[{n}]", self._read_one, parameter, item) for n, item in enumerate(array(value))]

    def read_element(self, parameter: ParameterLike | None, value: Any) -> Any:
        """Return the Python value of an element of a list or map, as it is if no parameter describes it."""
        if parameter is None or (value is None and parameter.constraints.optional):
            return value
        return self.read(parameter, value)

    def _given(self, parameter: ParameterLike, values: Mapping[str, Any]) -> Any:
        value = values.get(parameter.slug)
        if value is None:
            value = parameter.default
        if value is not None:
            return self.read(parameter, value)
        if parameter.constraints.optional:
            return None
        if not type_of(parameter.type).null_is_a_value or parameter.multi or parameter.slug not in values:
            raise MissingParameter("a value is required")
        return self.read(parameter, None)

    def _read_one(self, parameter: ParameterLike, value: Any) -> Any:
        kind = type_of(parameter.type)
        read = kind.read(value, parameter, self)
        if self._constraints and not kind.is_container:
            self._check(parameter, kind, read)
        return read

    def _check(self, parameter: ParameterLike, kind: ValueType, value: Any) -> None:
        choices = self._choices_of(parameter, kind)
        if choices is not None and kind.identity(value) not in choices:
            raise ValueProblem("the value is not among the options")
        regex = parameter.constraints.regex
        text = kind.text_to_match(value) if regex else None
        if text is None:
            return
        matches = self._matcher.full_match(regex, text)
        if matches is None and self._strict:
            raise ValueProblem("the value takes too much work to match")
        if matches is False:
            raise ValueProblem("the value does not match" + (" the regex" if parameter.secret else f" {regex}"))

    def _choices_of(self, parameter: ParameterLike, kind: ValueType) -> _Choices | None:
        """Return the values allowed, or None if they are not limited, or not so that it can be known here."""
        options = parameter.constraints.options
        if not isinstance(options, list | tuple) or not options:
            return None
        if id(parameter) not in self._choices:
            self._choices[id(parameter)] = _choices(kind, options)
        return self._choices[id(parameter)]


def _choices(kind: ValueType, options: Sequence[Any]) -> _Choices | None:
    try:
        values = [option["value"] if isinstance(option, dict) else option for option in options]
        return frozenset(kind.identity(kind.read_scalar(value)) for value in values)
    except (KeyError, ValueProblem):  # a template, say
        return None
