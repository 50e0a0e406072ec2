"""What may go into `param_values`, and how it is written. Nothing is ever silently changed on the way.

Plain JSON values, nearly all there is in practice, are recognised level by level at the speed of the interpreter's own
loops and go to msgspec as they are. The rest is rebuilt value by value, which also finds the path of whatever cannot be
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from itertools import chain
from math import isfinite
from typing import Any, TypeAlias

import msgspec

from ..errors import ParamValueError


class ConfigVar(msgspec.Struct, frozen=True):
    """A reference to a config variable by name; the server puts its value in."""

    name: str


class Upload(msgspec.Struct, frozen=True):
    """A reference to an uploaded file by the upload's ID. `url`, where to read it, comes from a server only."""

    id: str
    url: str | None = None


Scalar: TypeAlias = bool | int | float | str | date | datetime | ConfigVar | Upload | Enum | None
ParamValue: TypeAlias = Scalar | Sequence["ParamValue"] | Mapping[str, "ParamValue"]

MAX_DEPTH = 100

# What holds itself twice doubles with every level. From so many entries on, a level is looked at for that.
_SUSPICIOUS = 100_000

_encode = msgspec.json.Encoder().encode
_flat = chain.from_iterable
_LEAVES = frozenset({str, int, float, bool, type(None)})
_PLAIN = _LEAVES | {dict, list, tuple}


def encode_params(values: Mapping[str, Any], root: str = "param_values") -> bytes:
    """Encode parameter values as a JSON object.

    Dates are written `YYYY-MM-DD`; datetimes in UTC with a literal `Z`, microseconds kept. Raises ParamValueError, with
    the path below `root`, for everything that could not arrive as it is: NaN and infinities, integers of more than 4300
    digits, naive datetimes, bytes, lone surrogates, keys that are not strings or that stand twice, cycles, more than
    100 levels, and types that JSON has no word for.
    """
    if type(values) is dict and _is_plain(values):
        try:
            return _encode(values)
        except ValueError:
            pass  # a lone surrogate or an endless integer: the walk below finds out where
    try:
        return _encode(to_json(values))
    except Refusal as problem:
        raise problem.below(root) from None


def to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameter values in plain JSON types, as `encode_params` writes them. Raises Refusal where it raises."""
    if not isinstance(values, Mapping):
        raise Refusal(f"must be a mapping, not {type(values).__name__}")
    result: dict[str, Any] = _rebuild(values, ())
    return result


def _is_plain(values: dict[Any, Any]) -> bool:
    """Whether msgspec either writes all of it as it is or raises ValueError."""
    dicts: list[Any] = [values]
    lists: list[Any] = []
    for _ in range(MAX_DEPTH + 1):
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
    """Whether all are strings and none is empty. `startswith` demands the former of a tuple, and looks no further."""
    try:
        return not "".startswith(tuple(keys))
    except TypeError:
        return False


class Refusal(Exception):
    """Why a value is refused, and the way to it, which is put together while the walk is left."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.trail: list[str] = []

    def below(self, root: str) -> ParamValueError:
        """Return it as an error that names the whole path."""
        return ParamValueError(root + "".join(reversed(self.trail)), str(self))


def member(name: str) -> str:
    """Write a key as a step of a path."""
    return f".{name}" if name.isidentifier() else f"[{name!r}]"


def _rebuild(value: Any, parents: tuple[int, ...]) -> Any:
    """Return `value` in plain JSON types, or raise Refusal at the first part that has no such form."""
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, Enum):
        return _rebuild(value.value, parents)
    if isinstance(value, list | tuple | Mapping):
        return _container(value, parents)
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    raise Refusal(f"a value of type {type(value).__name__} cannot be sent")


def _container(value: Any, parents: tuple[int, ...]) -> Any:
    if id(value) in parents:
        raise Refusal("contains itself")
    if len(parents) > MAX_DEPTH:
        raise Refusal(f"is nested more than {MAX_DEPTH} levels deep")
    parents = (*parents, id(value))
    return _mapping(value, parents) if isinstance(value, Mapping) else _array(value, parents)


def _mapping(value: Mapping[Any, Any], parents: tuple[int, ...]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = _key(key)
        if name in result:
            raise Refusal(f"the key {name!r} stands twice")
        try:
            result[name] = _rebuild(item, parents)
        except Refusal as problem:
            problem.trail.append(member(name))
            raise
    return result


def _array(value: Sequence[Any], parents: tuple[int, ...]) -> list[Any]:
    result: list[Any] = []
    for item in value:
        try:
            result.append(_rebuild(item, parents))
        except Refusal as problem:
            problem.trail.append(f"[{len(result)}]")
            raise
    return result


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise Refusal(f"the key {key!r} is a {type(key).__name__}, not a string")
    return _text(key)


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise Refusal(f"must be a string, not {type(value).__name__}")
    text = str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise Refusal(f"has a lone surrogate at index {problem.start}, which is not text") from None
    return text


def _integer(value: int) -> int:
    number = int.__int__(value)
    if number.bit_length() > 64:
        try:
            int.__repr__(number)
        except ValueError:
            raise Refusal("is an integer of too many digits") from None
    return number


def _float(value: float) -> float:
    if not isfinite(value):
        raise Refusal(f"{value!r} has no form in JSON")
    return float.__float__(value)


def _moment(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    try:
        return utc_text(value)
    except ValueError as problem:
        raise Refusal(str(problem)) from None


def utc_text(value: datetime) -> str:
    """Write an aware datetime in UTC with a literal `Z`. Raises ValueError, with the reason, if it has no such form."""
    if value.utcoffset() is None:
        raise ValueError("is a datetime without a time zone")
    try:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError:
        raise ValueError("is a datetime outside of the years 1 to 9999 in UTC") from None


def _config_var(value: ConfigVar) -> dict[str, str]:
    return {"__airplaneType": "configvar", "name": _text(value.name)}


def _upload(value: Upload) -> str:
    return _text(value.id)


def _same(value: bool | None) -> bool | None:  # noqa: FBT001  # a value, not a switch
    return value


# By type, and for subclasses in this order.
_WRITERS: dict[type, Callable[[Any], Any]] = {
    str: _text,
    bool: _same,
    int: _integer,
    float: _float,
    type(None): _same,
    datetime: _moment,
    date: _moment,
    ConfigVar: _config_var,
    Upload: _upload,
}
