"""What may go into `param_values`, and how it is written. Nothing is ever silently changed on the way.

Plain JSON values, nearly all there is in practice, are recognised at the speed of the interpreter's own loops and go to
msgspec as they are. The rest is rebuilt value by value, which also finds the path of whatever cannot be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from math import isfinite
from typing import Any, TypeAlias

import msgspec

from .errors import ParamValueError


class ConfigVar(msgspec.Struct, frozen=True):
    """A reference to a config variable by name; the server puts its value in."""

    name: str


class Upload(msgspec.Struct, frozen=True):
    """A reference to an uploaded file by the upload's ID."""

    id: str


Scalar: TypeAlias = bool | int | float | str | date | datetime | ConfigVar | Upload | Enum | None
ParamValue: TypeAlias = Scalar | Sequence["ParamValue"] | Mapping[str, "ParamValue"]

MAX_DEPTH = 100
_MAX_INT_BITS = 4096

_encode = msgspec.json.Encoder().encode
_STRINGS = frozenset({str})
_PLAIN = frozenset({str, int, bool, type(None)})
_NUMBERS = frozenset({int, bool, float})


def encode_params(values: Mapping[str, Any], root: str = "param_values") -> bytes:
    """Encode parameter values as a JSON object.

    Dates are written `YYYY-MM-DD`; datetimes in UTC with a literal `Z`, microseconds kept. Raises ParamValueError, with
    the path below `root`, for everything that could not arrive as it is: NaN and infinities, naive datetimes, bytes,
    keys that are not strings, lone surrogates, cycles, more than 100 levels, and types that JSON has no word for.
    """
    if type(values) is dict and _is_plain_dict(values, MAX_DEPTH):
        try:
            return _encode(values)
        except UnicodeEncodeError:
            pass  # a lone surrogate: the walk below finds out where
    if not isinstance(values, Mapping):
        raise ParamValueError(root, f"must be a mapping, not {type(values).__name__}")
    return _encode(_rebuild(values, root, ()))


def _is_plain_dict(values: dict[Any, Any], depth: int) -> bool:
    return set(map(type, values)) <= _STRINGS and _are_plain(values.values(), depth)


def _are_plain(items: Any, depth: int) -> bool:
    """Whether msgspec would write all items as they are, lone surrogates aside."""
    kinds = set(map(type, items))
    if int in kinds and any(item.bit_length() > _MAX_INT_BITS for item in items if type(item) is int):
        return False
    if kinds <= _PLAIN:
        return True
    if kinds <= _NUMBERS:
        return all(map(isfinite, items))
    return depth > 0 and all(_is_plain(item, depth - 1) for item in items)


def _is_plain(item: Any, depth: int) -> bool:
    kind = type(item)
    if kind in _PLAIN:
        return True
    if kind is float:
        return isfinite(item)
    if kind is dict:
        return _is_plain_dict(item, depth)
    return (kind is list or kind is tuple) and _are_plain(item, depth)


def _rebuild(value: Any, path: str, parents: tuple[int, ...]) -> Any:
    """Return `value` in plain JSON types, or raise ParamValueError at the first part that has no such form."""
    if isinstance(value, Enum):
        return _rebuild(value.value, path, parents)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, date):
        return _moment(value, path)
    if isinstance(value, ConfigVar):
        return {"__airplaneType": "configvar", "name": _text(value.name, path)}
    if isinstance(value, Upload):
        return _text(value.id, path)
    if isinstance(value, Mapping | list | tuple):
        return _container(value, path, parents)
    raise ParamValueError(path, f"a value of type {type(value).__name__} cannot be sent")


def _container(value: Any, path: str, parents: tuple[int, ...]) -> Any:
    if id(value) in parents:
        raise ParamValueError(path, "contains itself")
    if len(parents) > MAX_DEPTH:
        raise ParamValueError(path, f"is nested more than {MAX_DEPTH} levels deep")
    parents = (*parents, id(value))
    if isinstance(value, Mapping):
        return {_key(key, path): _rebuild(item, _member(path, key), parents) for key, item in value.items()}
    return [_rebuild(item, f"{path}[{index}]", parents) for index, item in enumerate(value)]


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise ParamValueError(path, f"the key {key!r} is a {type(key).__name__}, not a string")
    return _text(key, path)


def _member(path: str, key: object) -> str:
    return f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"


def _text(value: str, path: str) -> str:
    if not isinstance(value, str):
        raise ParamValueError(path, f"must be a string, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise ParamValueError(path, f"has a lone surrogate at index {problem.start}, which is not text") from None
    return str.__str__(value)


def _number(value: float, path: str) -> int | float:
    if isinstance(value, int):
        if value.bit_length() > _MAX_INT_BITS:
            raise ParamValueError(path, f"is an integer of more than {_MAX_INT_BITS} bits")
        return int.__int__(value)
    if not isfinite(value):
        raise ParamValueError(path, f"{value!r} has no form in JSON")
    return float.__float__(value)


def _moment(value: date, path: str) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.utcoffset() is None:
        raise ParamValueError(path, "is a datetime without a time zone")
    try:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError:
        raise ParamValueError(path, "is a datetime outside of the years 1 to 9999 in UTC") from None
