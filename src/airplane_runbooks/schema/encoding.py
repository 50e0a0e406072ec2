"""Encoding of `param_values`: each value arrives exactly as it was given, or is refused.

Plain JSON values, nearly all there is in practice, are recognised level by level at the speed of the interpreter's own
loops and go to msgspec as they are. The rest is rebuilt value by value, which also finds the path of a value that
cannot be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from itertools import chain
from math import isfinite
from typing import Any, TypeAlias

import msgspec

from .problems import NotEncodable, member
from .types import SCALARS
from .types.base import plain_text
from .types.references import ConfigVar, Upload

PlainValue: TypeAlias = bool | int | float | str | date | datetime | ConfigVar | Upload | Enum | None
ParamValue: TypeAlias = PlainValue | Sequence["ParamValue"] | Mapping[str, "ParamValue"]

MAX_PARAM_DEPTH = 100

# A value that holds itself twice doubles with every level. From so many entries on, a level is searched for that.
_SUSPICIOUS = 100_000

_encode = msgspec.json.Encoder().encode
_flat = chain.from_iterable
_LEAVES = frozenset({str, int, float, bool, type(None)})
_PLAIN = _LEAVES | {dict, list, tuple}


def encode_params(values: Mapping[str, Any], root: str = "param_values") -> bytes:
    """Encode parameter values as a JSON object.

    Dates are written `YYYY-MM-DD`; datetimes in UTC with a literal `Z`, microseconds kept. Raises ParamValueError, with
    the path below `root`, for everything that could not arrive as it is: NaN and infinities, integers of more than 4300
    digits, naive datetimes, bytes, lone surrogates, keys that are not strings or that appear twice, cycles, more than
    100 levels, and types that have no form in JSON.
    """
    if type(values) is dict and _is_plain(values):
        try:
            return _encode(values)
        except ValueError:
            pass  # a lone surrogate or an endless integer: the walk below finds out where
    try:
        return _encode(to_json(values))
    except NotEncodable as problem:
        raise problem.below(root) from None


def to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameter values in plain JSON types, as `encode_params` writes them. Raises NotEncodable."""
    if not isinstance(values, Mapping):
        raise NotEncodable(f"must be a mapping, not {type(values).__name__}")
    result: dict[str, Any] = _rebuild(values, ())
    return result


def _is_plain(values: dict[Any, Any]) -> bool:
    """Return True if msgspec writes all of it unchanged or raises ValueError."""
    dicts: list[Any] = [values]
    lists: list[Any] = []
    for _ in range(MAX_PARAM_DEPTH + 1):
        if not _are_strings(_flat(dicts)):
            return False
        kinds = set(map(type, chain(_flat(map(dict.values, dicts)), _flat(lists))))
        if not kinds <= _PLAIN:
            return False
        if float not in kinds and kinds <= _LEAVES:
            return True
        level = [*_flat(map(dict.values, dicts)), *_flat(lists)]
        if float in kinds and not all(map(isfinite, [item for item in level if type(item) is float])):
            return False
        if kinds <= _LEAVES:
            return True
        dicts = [item for item in level if type(item) is dict]
        lists = [item for item in level if type(item) is list or type(item) is tuple]
        containers = [*dicts, *lists]
        if sum(map(len, containers)) > _SUSPICIOUS and len(set(map(id, containers))) < len(containers):
            return False
    return False


def _are_strings(keys: Iterable[Any]) -> bool:
    """Return True if all are strings and none is empty, which a tuple for `startswith` checks at once."""
    try:
        return not "".startswith(tuple(keys))
    except TypeError:
        return False


def _rebuild(value: Any, parents: tuple[int, ...]) -> Any:
    """Return `value` in plain JSON types, or raise NotEncodable at the first part that has no such form."""
    known = SCALARS.get(type(value))
    if known is not None:
        return known.encode(value)
    if value is None:
        return None
    if isinstance(value, Enum):
        return _rebuild(value.value, parents)
    if isinstance(value, list | tuple | Mapping):
        return _container(value, parents)
    for python, base in SCALARS.items():
        if isinstance(value, python):
            return base.encode(value)
    raise NotEncodable(f"a value of type {type(value).__name__} cannot be sent")


def _container(value: Any, parents: tuple[int, ...]) -> Any:
    if id(value) in parents:
        raise NotEncodable("contains itself")
    if len(parents) > MAX_PARAM_DEPTH:
        raise NotEncodable(f"is nested more than {MAX_PARAM_DEPTH} levels deep")
    parents = (*parents, id(value))
    return _mapping(value, parents) if isinstance(value, Mapping) else _array(value, parents)


def _mapping(value: Mapping[Any, Any], parents: tuple[int, ...]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = _key(key)
        if name in result:
            raise NotEncodable(f"the key {name!r} appears twice")
        try:
            result[name] = _rebuild(item, parents)
        except NotEncodable as problem:
            problem.steps.append(member(name))
            raise
    return result


def _array(value: Sequence[Any], parents: tuple[int, ...]) -> list[Any]:
    result: list[Any] = []
    for item in value:
        try:
            result.append(_rebuild(item, parents))
        except NotEncodable as problem:
            problem.steps.append(f"[{len(result)}]")
            raise
    return result


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise NotEncodable(f"the key {key!r} is a {type(key).__name__}, not a string")
    return plain_text(key)
