"""From JSON to Python, as a parameter schema prescribes it. Pure: no I/O, no state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from ..models import Parameter, ParameterType, parse_timestamp
from .errors import Invalid

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def read_all(parameters: Iterable[Parameter], values: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return the Python value of every parameter, defaults put in; None stands for an optional one without a value.

    Raises Invalid, naming the path below `root` and showing nothing of the value, for a required value that is
    missing or null, a wrong type, a broken constraint, and a slug that no parameter has.
    """
    known = {parameter.slug: parameter for parameter in parameters}
    for slug in values:
        if slug not in known:
            raise Invalid("unknown_parameter", f"{root}.{slug[:100]}: there is no such parameter")
    return {slug: _read_given(parameter, values, f"{root}.{slug}") for slug, parameter in known.items()}


def fill(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they were sent, with the default in place of whatever is missing or null."""
    defaults = {parameter.slug: parameter.default for parameter in parameters if parameter.default is not None}
    return {**defaults, **{slug: value for slug, value in values.items() if value is not None or slug not in defaults}}


def _read_given(parameter: Parameter, values: Mapping[str, Any], path: str) -> Any:
    value = values.get(parameter.slug)
    if value is None:
        value = parameter.default
    if value is not None:
        return read(parameter, value, path)
    null_is_a_value = parameter.type is ParameterType.JSON and not parameter.multi and parameter.slug in values
    if not (parameter.constraints.optional or null_is_a_value):
        raise Invalid("missing_parameter", f"{path}: a value is required")
    return None


def read(parameter: Parameter, value: Any, path: str) -> Any:
    """Return the Python value of one JSON value. Raises Invalid, naming the path."""
    if parameter.multi:
        element = msgspec.structs.replace(parameter, multi=False)
        return [read(element, item, f"{path}[{index}]") for index, item in enumerate(_array(value, path))]
    if parameter.type is ParameterType.LIST:
        items = enumerate(_array(value, path))
        return [_read_element(parameter.values, item, f"{path}[{index}]") for index, item in items]
    if parameter.type is ParameterType.MAP:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {key: _read_element(parameter.values, item, f"{path}.{key[:100]}") for key, item in value.items()}
    return _constrained(parameter, _read_scalar(parameter.type, value, path), path)


def _array(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(path, "an array", value)
    return value


def _read_element(parameter: Parameter | None, value: Any, path: str) -> Any:
    if parameter is None or (value is None and parameter.constraints.optional):
        return value
    return read(parameter, value, path)


def _read_scalar(kind: ParameterType, value: Any, path: str) -> Any:
    if (reader := _READERS.get(kind)) is None:
        return value
    wanted, convert = reader
    try:
        return convert(value)
    except (ValueError, TypeError, OverflowError):
        raise _wrong(path, wanted, value) from None


def _constrained(parameter: Parameter, value: Any, path: str) -> Any:
    limits = parameter.constraints
    if limits.options:
        allowed = (_read_scalar(parameter.type, option["value"], path) for option in limits.options)
        if not any(type(value) is type(choice) and value == choice for choice in allowed):
            raise Invalid("invalid_parameter", f"{path}: the value is not among the options")
    if limits.regex and isinstance(value, str) and not re.fullmatch(limits.regex, value):
        raise Invalid("invalid_parameter", f"{path}: the value does not match {limits.regex}")
    return value


def _wrong(path: str, wanted: str, value: Any) -> Invalid:
    return Invalid("invalid_parameter", f"{path}: expected {wanted}, got {_KINDS.get(type(value), 'null')}")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    # JSON has one kind of number: some encoders write 2.0 where others write 2
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _date(value: Any) -> date:
    text = _string(value)
    if len(text) > 10:
        _datetime(text)  # clients that know no dates send midnight with an offset; its calendar day is what they mean
    if not _DATE.fullmatch(text[:10]):
        raise ValueError
    return date.fromisoformat(text[:10])


def _datetime(value: Any) -> datetime:
    text = _string(value)
    moment = parse_timestamp(text)
    if moment is None or not _DATE.fullmatch(text[:10]):
        raise ValueError
    return moment


_READERS: dict[ParameterType, tuple[str, Callable[[Any], Any]]] = {
    ParameterType.STRING: ("a string", _string),
    ParameterType.BOOLEAN: ("a boolean", _boolean),
    ParameterType.INTEGER: ("an integer", _integer),
    ParameterType.FLOAT: ("a number", _float),
    ParameterType.DATE: ("a date (YYYY-MM-DD)", _date),
    ParameterType.DATETIME: ("a time (RFC 3339)", _datetime),
}
