"""Encoding of `param_values`: each value arrives exactly as it was given, or is refused.

Values that msgspec writes as they should be, nearly all there is in practice, are recognised level by level and go to
msgspec as they are. If times in other zones are among them, a copy goes there that has these in UTC. The rest is
rebuilt value by value, which also finds the path of a value that cannot be sent.
msgspec alone would write much that is refused here: bytes, sets, decimals, numbers as keys.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from .problems import NotEncodable, member
from .types import SCALARS
from .types.base import plain_text
from .types.references import ConfigVar, Upload

PlainValue: TypeAlias = bool | int | float | str | date | datetime | ConfigVar | Upload | Enum | None
ParamValue: TypeAlias = PlainValue | Sequence["ParamValue"] | Mapping[str, "ParamValue"]

MAX_PARAM_DEPTH = 100

# A value that holds itself twice doubles with every level. From so many containers on, a level is searched for that.
_SUSPICIOUS = 10_000

_encode = msgspec.json.Encoder().encode
# Values that msgspec writes as they should be, of exactly these types; and floats, unless they are NaN or infinite.
_AS_IS = frozenset({str, int, bool, date, type(None)})
_LARGEST = sys.float_info.max
_BAD_KEY = object()  # takes the place of a value whose key is not a string
_FEW = 16


def encode_params(values: Mapping[str, Any], root: str = "param_values") -> bytes:
    """Encode parameter values as a JSON object.

    Dates are written `YYYY-MM-DD`; datetimes in UTC with a literal `Z`, microseconds kept. Raises ParamValueError, with
    the path below `root`, for everything that could not arrive as it is: NaN and infinities, integers of more than 4300
    digits, naive datetimes, bytes, lone surrogates, keys that are not strings or that appear twice, cycles, more than
    100 levels, and types that have no form in JSON.
    """
    if type(values) is dict:
        plain = values if _are_few_and_plain(values) else plain_form(values)
        if plain is not None:
            try:
                return _encode(plain)
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


def _are_few_and_plain(values: dict[Any, Any], levels: int = 2) -> bool:
    """Tell whether values are all plain, if they are few: then to look at one after the other is fastest."""
    if len(values) > _FEW:
        return False
    for key, item in values.items():
        kind = type(item)
        if type(key) is not str:
            return False
        if kind in _AS_IS or (kind is float and -_LARGEST <= item <= _LARGEST):  # NaN is not
            continue
        if kind is dict:
            if not levels or not _are_few_and_plain(item, levels - 1):
                return False
        elif kind is not list or len(item) > _FEW or not _are_plain_scalars(item):
            return False
    return True


def _are_plain_scalars(items: list[Any]) -> bool:
    for item in items:
        kind = type(item)
        if kind not in _AS_IS and not (kind is float and -_LARGEST <= item <= _LARGEST):
            return False
    return True


def plain_form(values: dict[Any, Any]) -> dict[Any, Any] | None:
    """Return what msgspec writes as the walk below does, or raises ValueError for. None if only the walk can tell.

    That is the same dict, or a copy in which all times are in UTC. The interpreter is fastest with a whole level.
    """
    dicts: list[Any] = [values]
    lists: list[Any] = []
    zoned: list[datetime] = []
    for _ in range(MAX_PARAM_DEPTH + 1):
        rest = [
            item if type(key) is str else _BAD_KEY
            for one in dicts
            for key, item in one.items()
            if type(item) not in _AS_IS or type(key) is not str
        ]
        if lists:
            rest += [item for one in lists for item in one if type(item) not in _AS_IS]
        dicts, lists = [], []
        if not _are_sorted(rest, dicts, lists, zoned):
            return None
        count = len(dicts) + len(lists)
        if not count:
            return _copy_in_utc(values) if zoned else values
        if count > _SUSPICIOUS and len({*map(id, dicts), *map(id, lists)}) < count:
            return None
    return None


def _are_sorted(values: list[Any], dicts: list[Any], lists: list[Any], zoned: list[datetime]) -> bool:
    """Add containers, and times that are not in UTC, to their kind. Return False if one of the rest is not plain."""
    for item in values:
        kind = type(item)
        if kind is float:
            if not -_LARGEST <= item <= _LARGEST:
                return False
        elif kind is dict:
            dicts.append(item)
        elif kind is list or kind is tuple:
            lists.append(item)
        elif kind is not datetime:
            return False
        elif item.tzinfo is not UTC:
            zoned.append(item)
    return True


def _copy_in_utc(values: dict[Any, Any]) -> dict[Any, Any] | None:
    try:
        copied: dict[Any, Any] = _in_utc(values)
    except Exception:  # noqa: BLE001  # zones are anyone's code; the walk finds out where it fails
        return None
    return copied


def _in_utc(value: Any) -> Any:
    """Copy plain values, with all times in UTC. Raises ValueError for a time that has no zone."""
    kind = type(value)
    if kind is dict:
        return {key: item if type(item) in _AS_IS else _in_utc(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [item if type(item) in _AS_IS else _in_utc(item) for item in value]
    if kind is datetime and value.tzinfo is not UTC:
        if value.utcoffset() is None:
            raise ValueError("no time zone")  # which Python would take for that of this machine
        return value.astimezone(UTC)
    return value


def _rebuild(value: Any, parents: tuple[int, ...]) -> Any:
    """Return `value` in plain JSON types, or raise NotEncodable at the first part that has no such form."""
    if type(value) is str and value.isascii():
        return value
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
